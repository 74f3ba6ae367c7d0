"""Runs in the catalogue: one arm and seed, trained once, and which of several attempts counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import Connection, Select, Subquery, bindparam, case, func, insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import RunRow, RunState, RunStatus

_CHANGEABLE = frozenset(column.name for column in tables.runs.c) - {"id", "study", "job"}


def _ranked(study: str | None, *columns: Any) -> Subquery:
    """Select runs with their `place` among those of one (study, arm, seed); the first counts.

    A finished run (done or diverged) goes before an unfinished one, then the newest; never a deleted one.
    """
    runs = tables.runs
    finished = case((runs.c.status.in_(["done", "diverged"]), 0), else_=1)
    group = [runs.c.study, runs.c.arm, runs.c.seed]
    place = func.row_number().over(partition_by=group, order_by=[finished, runs.c.id.desc()])
    query = select(*columns, place.label("place")).where(runs.c.deleted_at.is_(None))
    return (query if study is None else query.where(runs.c.study == study)).subquery()


def current_ids(study: str) -> Select[int, str, int]:
    """Select id, arm and seed of the runs of a study that count.

    An archived run counts: archiving tidies a list and must not move a mean.
    """
    runs = tables.runs
    ranked = _ranked(study, runs.c.id, runs.c.arm, runs.c.seed)
    return select(ranked.c.id, ranked.c.arm, ranked.c.seed).where(ranked.c.place == 1).order_by(ranked.c.id)


class RunCatalog(Database):
    """What ran, how it ended and what people said about it."""

    def start_runs(
        self,
        job: int,
        study: str,
        runs: Sequence[tuple[str, int, dict[str, Any]]],
        steps: int | Sequence[int],
        device: str,
    ) -> list[int]:
        """Write down runs that begin now, given as (arm, seed, config), and return their ids in order.

        `steps` is the length of each, or of all of them. Without runs the answer is empty.
        """
        if not runs:
            return []
        now = datetime.now(UTC)
        same = {
            "job": job,
            "study": study,
            "status": "running",
            "step": 0,
            "device": device,
            "finals": {},
            "tags": [],
            "note": "",
            "started_at": now,
        }
        lengths = [steps] * len(runs) if isinstance(steps, int) else steps
        rows = [
            {**same, "arm": arm, "seed": seed, "config": config, "steps": length}
            for (arm, seed, config), length in zip(runs, lengths, strict=True)
        ]
        with self.writing("machine") as connection:
            statement = insert(tables.runs).returning(tables.runs.c.id, sort_by_parameter_order=True)
            return list(connection.execute(statement, rows).scalars())

    def update_runs(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Change runs in one transaction; each change names its run by `id` and any fields beside it.

        Raises:
            ValueError: a field that runs do not have, or a status that does not exist.
            LabError: there is no run of that id; nothing is changed then.
        """
        wanted = [dict(change) for change in changes]
        for change in wanted:
            unknown = set(change) - _CHANGEABLE - {"id"}
            if unknown or "id" not in change:
                raise ValueError(f"A change needs `id` and fields of a run; got {sorted(change)}.")
            if change.get("status", "done") not in get_args(RunStatus):
                raise ValueError(f"`status` must be one of {get_args(RunStatus)}; got {change['status']!r}.")
        with self.writing("machine") as connection:
            for change in wanted:
                _change(connection, change.pop("id"), change)

    def advance_runs(self, steps: Mapping[int, int]) -> None:
        """Write down how far runs are, given as id to step."""
        if steps:
            runs = tables.runs
            statement = update(runs).where(runs.c.id == bindparam("run")).values(step=bindparam("at"))
            with self.writing("machine") as connection:
                connection.execute(statement, [{"run": run, "at": step} for run, step in steps.items()])

    def note_run(self, id: int, note: str) -> None:
        """Replace a run's note.

        Raises:
            LabError: there is no run of that id.
        """
        with self.writing("researcher") as connection:
            _change(connection, id, {"note": note})
            self.audit(connection, "note run", _names(connection, [id]), runs=[id], note=note)

    def tag_runs(self, ids: Iterable[int], add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove tags; a tag is on a run once, and the order in which tags came is kept."""
        chosen, added, removed = list(ids), list(add), set(remove)
        with self.writing("researcher") as connection:
            for id in chosen:
                query = select(tables.runs.c.tags).where(tables.runs.c.id == id)
                tags = connection.execute(query).scalar() or []
                kept = [tag for tag in dict.fromkeys([*tags, *added]) if tag not in removed]
                _change(connection, id, {"tags": kept})
            names = _names(connection, chosen)
            self.audit(connection, "tag runs", names, runs=chosen, add=added, remove=sorted(removed))

    def archive_runs(self, ids: Iterable[int]) -> None:
        """Take runs out of the lists; they still count in every figure.

        Raises:
            LabError: some are somebody else's; nothing is changed then.
        """
        self._put_away("archive runs", ids, {"archived_at": datetime.now(UTC)})

    def delete_runs(self, ids: Iterable[int]) -> None:
        """Take runs out of the lists and the figures; `restore_runs` brings them back, rows and all.

        Raises:
            LabError: some are somebody else's; nothing is changed then.
        """
        self._put_away("delete runs", ids, {"deleted_at": datetime.now(UTC)})

    def restore_runs(self, ids: Iterable[int]) -> None:
        """Undo an archiving or a deletion.

        Raises:
            LabError: some are somebody else's; nothing is changed then.
        """
        self._put_away("restore runs", ids, {"archived_at": None, "deleted_at": None})

    def _put_away(self, action: str, ids: Iterable[int], values: dict[str, Any]) -> None:
        chosen, runs, jobs = list(ids), tables.runs, tables.jobs
        with self.writing("researcher") as connection:
            owners = select(jobs.c.person).join(runs, runs.c.job == jobs.c.id).where(runs.c.id.in_(chosen))
            what = f"run {chosen[0]}" if len(chosen) == 1 else f"one of {len(chosen)} runs"
            self.person.require_own(set(connection.execute(owners).scalars()), what)
            for id in chosen:
                _change(connection, id, dict(values))
            self.audit(connection, action, _names(connection, chosen), runs=chosen)

    def runs(self, study: str | None = None, current: bool = True, archived: bool = False) -> list[RunRow]:
        """Return runs ordered by study, arm, seed, id.

        Args:
            study: only this study's.
            current: of several runs of one (study, arm, seed) only the one that counts: finished (done or
                diverged) before unfinished, then the newest. Deleted runs are left out in any case.
            archived: archived runs too.
        """
        study = self.person.within(study)
        table = _ranked(study, *tables.runs.c)
        query = select(*(table.c[field.name] for field in fields(RunRow)))
        if current:
            query = query.where(table.c.place == 1)
        if not archived:
            query = query.where(table.c.archived_at.is_(None))
        query = query.order_by(table.c.study, table.c.arm, table.c.seed, table.c.id)
        with self.reading() as connection:
            return [RunRow(*row) for row in connection.execute(query)]  # half the time of by name

    def run_states(self, study: str | None = None) -> list[RunState]:
        """Return how far every run that counts is, archived ones too, by id.

        Costs a tenth of `runs`, whose configurations and last values are many.
        """
        study = self.person.within(study)
        runs = tables.runs.c
        table = _ranked(study, *(runs[name] for name in RunState._fields))
        query = select(*(table.c[name] for name in RunState._fields)).where(table.c.place == 1)
        with self.reading() as connection:
            return [RunState(*row) for row in connection.execute(query.order_by(table.c.id))]

    def job_runs(self, job: int) -> list[RunRow]:
        """Return every run of a job in the order in which they were written down, deleted ones too."""
        query = select(tables.runs).where(tables.runs.c.job == job).order_by(tables.runs.c.id)
        with self.reading() as connection:
            found = [RunRow(**row) for row in connection.execute(query).mappings()]
        for study in {run.study for run in found}:
            self.person.require_study(study)
        return found

    def deleted_runs(self, study: str | None = None) -> list[RunRow]:
        """Return the deleted runs, the last deleted first, for an undo."""
        study = self.person.within(study)
        query = select(tables.runs).where(tables.runs.c.deleted_at.is_not(None))
        if study is not None:
            query = query.where(tables.runs.c.study == study)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(tables.runs.c.deleted_at.desc())).mappings()
            return [RunRow(**row) for row in rows]


def _change(connection: Connection, id: int, values: dict[str, Any]) -> None:
    runs = tables.runs
    statement = update(runs).where(runs.c.id == id).values(**(values or {"id": id})).returning(runs.c.id)
    if connection.execute(statement).first() is None:
        raise LabError("Unknown run", f"The store has no run {id}.", "List the runs to see their numbers.")


def _names(connection: Connection, ids: Sequence[int]) -> str:
    """Return the studies that runs belong to."""
    query = select(tables.runs.c.study).where(tables.runs.c.id.in_(ids)).distinct()
    return ", ".join(sorted(connection.execute(query).scalars()))
