"""Studies and their metrics in the catalogue."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, exists, insert, or_, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import MetricRow, Source, StudyRow


class StudyCatalog(Database):
    """What is studied and what is measured."""

    def save_study(self, name: str, title: str, claim: str, config: dict[str, Any], source: Source) -> None:
        """Describe a study, or describe it anew; the moment it was first described stays."""
        described = {"title": title, "claim": claim, "config": config, "source": source}
        first = {"created_at": datetime.now(UTC), "person": self.person.name}
        again = {
            **described,
            "deleted_at": None,
        }  # who trains it anew wants to see it; its old runs stay deleted
        statement = self.upsert(tables.studies).values(name=name, **first, **described)
        with self.writing("researcher") as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=again))

    def studies(self, archived: bool = False) -> list[StudyRow]:
        """Return studies, the pinned first, then by age; one whose imports are all undone is not there.

        Args:
            archived: archived ones too. Deleted ones are left out in any case.
        """
        studies, uploads, runs = tables.studies, tables.uploads, tables.runs
        counts = exists().where(uploads.c.study == studies.c.name, uploads.c.undone_at.is_(None))
        other = exists().where(runs.c.study == studies.c.name, runs.c.deleted_at.is_(None))
        there = or_(studies.c.source != "upload", counts, other) & studies.c.deleted_at.is_(None)
        if not archived:
            there &= studies.c.archived_at.is_(None)
        if self.person.study is not None:
            there &= studies.c.name == self.person.study
        order = (studies.c.pinned_at.is_(None), studies.c.created_at, studies.c.name)
        with self.reading() as connection:
            rows = connection.execute(select(studies).where(there).order_by(*order)).mappings()
            return [StudyRow(**row) for row in rows]

    def deleted_studies(self) -> list[StudyRow]:
        """Return the deleted studies, the last deleted first, for an undo."""
        studies = tables.studies
        query = select(studies).where(studies.c.deleted_at.is_not(None)).order_by(studies.c.deleted_at.desc())
        if self.person.study is not None:
            return []
        with self.reading() as connection:
            return [StudyRow(**row) for row in connection.execute(query).mappings()]

    def pin_study(self, name: str, pinned: bool) -> None:
        """Let a study stand before the others for everybody, or no more.

        Raises:
            LabError: there is none of that name, or whoever acts may change nothing.
        """
        moment = datetime.now(UTC) if pinned else None
        self._mark_study("pin study" if pinned else "unpin study", name, {"pinned_at": moment}, own=False)

    def archive_study(self, name: str) -> None:
        """Take a study out of the lists; a link still finds it.

        Raises:
            LabError: there is none of that name, or it is somebody else's.
        """
        self._mark_study("archive study", name, {"archived_at": datetime.now(UTC)})

    def delete_study(self, name: str) -> None:
        """Take a study and its runs away; `restore_study` brings them back until they are cleared for good.

        Raises:
            LabError: there is none of that name, it is somebody else's, or a job works on it.
        """
        self._mark_study("delete study", name, {"deleted_at": datetime.now(UTC)})

    def restore_study(self, name: str) -> None:
        """Undo an archiving or a deletion; runs that were deleted before the study stay deleted.

        Raises:
            LabError: there is none of that name, or it is somebody else's.
        """
        self._mark_study("restore study", name, {"archived_at": None, "deleted_at": None})

    def _mark_study(
        self, action: str, name: str, values: dict[str, datetime | None], own: bool = True
    ) -> None:
        studies, runs, jobs = tables.studies, tables.runs, tables.jobs
        with self.writing("researcher") as connection:
            row = connection.execute(select(studies).where(studies.c.name == name)).mappings().first()
            if row is None:
                raise LabError(
                    "Unknown study", f"The store has no study `{name}`.", "See the list of studies."
                )
            if own:
                of_runs = (
                    select(jobs.c.person).join(runs, runs.c.job == jobs.c.id).where(runs.c.study == name)
                )
                owners = set(connection.execute(of_runs).scalars()) or {row["person"]}
                self.person.require_own(owners, f"the study `{name}`")
            if "deleted_at" in values:
                busy = jobs.c.study == name, jobs.c.status.in_(["queued", "running"])
                job = connection.execute(select(jobs.c.id).where(*busy).limit(1)).scalar()
                if job is not None and values["deleted_at"] is not None:
                    raise LabError(
                        "A job works on the study",
                        f"Job {job} is queued or running on `{name}`.",
                        "Wait for it, or stop it first.",
                    )
                was = row["deleted_at"]
                same = runs.c.deleted_at.is_(None) if was is None else runs.c.deleted_at == was
                if was is not None or values["deleted_at"] is not None:
                    mine = update(runs).where(runs.c.study == name, same)
                    connection.execute(mine.values(deleted_at=values["deleted_at"]))
            connection.execute(update(studies).where(studies.c.name == name).values(**values))
            self.audit(connection, action, name)

    def study(self, name: str) -> StudyRow:
        """Return one study.

        Raises:
            LabError: there is none of that name; the error names those there are.
        """
        self.person.require_study(name)
        with self.reading() as connection:
            there = select(tables.studies).where(tables.studies.c.deleted_at.is_(None))
            found = connection.execute(there.where(tables.studies.c.name == name)).mappings().first()
            names = [] if found else [row["name"] for row in connection.execute(there).mappings()]
        if found is None:
            known = ", ".join(f"`{each}`" for each in sorted(names)) or "none yet"
            raise LabError(
                "Unknown study",
                f"The store has no study `{name}`; it has: {known}.",
                "Name one of these, or train or import a study first.",
            )
        return StudyRow(**found)

    def save_metrics(self, study: str, metrics: Sequence[MetricRow]) -> None:
        """Say what the columns of a study's traces are; metrics described before stay.

        Raises:
            ValueError: a row that belongs to another study.
        """
        strangers = [row.name for row in metrics if row.study != study]
        if strangers:
            raise ValueError(f"`metrics` must all belong to `{study}`; {strangers} do not.")
        with self.writing("machine") as connection:
            query = select(tables.metrics.c.name, tables.metrics.c.position).where(
                tables.metrics.c.study == study
            )
            known = {row.name: row.position for row in connection.execute(query)}
            position = max(known.values(), default=-1) + 1
            for row in metrics:
                same = (tables.metrics.c.study == study) & (tables.metrics.c.name == row.name)
                connection.execute(delete(tables.metrics).where(same))
                connection.execute(
                    insert(tables.metrics).values(**asdict(row), position=known.get(row.name, position))
                )
                position += row.name not in known

    def metrics(self, study: str) -> list[MetricRow]:
        """Return a study's metrics in the order in which they were described."""
        self.person.require_study(study)
        columns = [column for column in tables.metrics.c if column.name != "position"]
        query = select(*columns).where(tables.metrics.c.study == study).order_by(tables.metrics.c.position)
        with self.reading() as connection:
            return [MetricRow(**row) for row in connection.execute(query).mappings()]
