"""Sealed trace files and stored analyses in the catalogue: a file counts from the moment its row is here."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, delete, insert, select

from data import tables
from data.catalog_runs import current_ids
from data.database import Database
from data.errors import LabError
from data.rows import AnalysisRow, SegmentRow


def _jobs_of(study: str) -> CompoundSelect[int]:
    # A job may be queued under a study and run a variant of it, so its runs are asked too.
    queued = select(tables.jobs.c.id).where(tables.jobs.c.study == study)
    return queued.union(select(tables.runs.c.job).where(tables.runs.c.study == study))


class SealedFile(NamedTuple):
    """What a reader needs to know of a segment."""

    id: int
    job: int
    part: int
    path: str


class StudySnapshot(NamedTuple):
    """The current runs (id, arm, seed) of a study, its jobs and their segments, as of one moment."""

    runs: tuple[tuple[int, str, int], ...]
    jobs: frozenset[int]
    segments: tuple[SealedFile, ...]


class ResultCatalog(Database):
    """Which files count."""

    def study_jobs(self, study: str) -> frozenset[int]:
        """Return the numbers of the jobs that may have written rows of a study."""
        self.person.require_study(study)
        with self.reading() as connection:
            return frozenset(connection.execute(_jobs_of(study)).scalars())

    def snapshot(self, study: str) -> StudySnapshot:
        """Return what counts for a study, read in one transaction."""
        self.person.require_study(study)
        segments = tables.segments
        files = select(segments.c.id, segments.c.job, segments.c.part, segments.c.path)
        files = files.where(segments.c.job.in_(_jobs_of(study))).order_by(segments.c.id)
        with self.reading() as connection:
            runs = tuple((id, arm, seed) for id, arm, seed in connection.execute(current_ids(study)))
            jobs = frozenset(connection.execute(_jobs_of(study)).scalars())
            return StudySnapshot(runs, jobs, tuple(SealedFile(*row) for row in connection.execute(files)))

    def segments(self, jobs: Iterable[int]) -> list[SegmentRow]:
        """Return the sealed files of these jobs, ordered by job and part."""
        found: list[SegmentRow] = []
        numbers = sorted(set(jobs))
        with self.reading() as connection:
            for start in range(0, len(numbers), 500):  # SQLite bounds the parameters of one statement
                query = select(tables.segments).where(tables.segments.c.job.in_(numbers[start : start + 500]))
                found += [SegmentRow(**row) for row in connection.execute(query).mappings()]
        return sorted(found, key=lambda row: (row.job, row.part))

    def add_segment(
        self,
        job: int,
        part: int,
        path: str,
        rows: int,
        first_step: int,
        last_step: int,
        bytes: int,
        sha256: str,
    ) -> SegmentRow:
        """Let a sealed file count; `path` is relative to the store, so that a store can be moved."""
        new = {
            "part": part,
            "path": path,
            "rows": rows,
            "first_step": first_step,
            "last_step": last_step,
            "bytes": bytes,
            "sha256": sha256,
        }
        return self.replace_segments(job, [], new)

    def replace_segments(self, job: int, old: Sequence[int], new: dict[str, Any]) -> SegmentRow:
        """Let one file count in place of the segments with the ids `old`, at once for every reader.

        `new` holds part, path, rows, first_step, last_step, bytes and sha256.
        """
        segments = tables.segments
        with self.writing("machine") as connection:
            connection.execute(delete(segments).where(segments.c.job == job, segments.c.id.in_(old)))
            statement = (
                insert(segments).values(job=job, created_at=datetime.now(UTC), **new).returning(segments)
            )
            return SegmentRow(**connection.execute(statement).mappings().one())

    def save_analysis(
        self,
        study: str,
        kind: str,
        key: str,
        inputs: dict[str, Any],
        summary: dict[str, Any],
        path: str,
        code_version: str,
        data_version: str,
        seed: int | None = None,
        job: int | None = None,
    ) -> AnalysisRow:
        """Keep a result; one that was computed again from the same inputs replaces its former self."""
        values = {
            "study": study,
            "kind": kind,
            "inputs": inputs,
            "summary": summary,
            "path": path,
            "code_version": code_version,
            "data_version": data_version,
            "seed": seed,
            "job": job,
            "created_at": datetime.now(UTC),
        }
        statement = self.upsert(tables.analyses).values(key=key, **values)
        statement = statement.on_conflict_do_update(index_elements=["key"], set_=values)
        with self.writing("researcher") as connection:
            return AnalysisRow(**connection.execute(statement.returning(tables.analyses)).mappings().one())

    def analyses(self, study: str | None = None, kind: str | None = None) -> list[AnalysisRow]:
        """Return stored results, the newest first."""
        study = self.person.within(study)
        query = select(tables.analyses).order_by(
            tables.analyses.c.created_at.desc(), tables.analyses.c.id.desc()
        )
        if study is not None:
            query = query.where(tables.analyses.c.study == study)
        if kind is not None:
            query = query.where(tables.analyses.c.kind == kind)
        with self.reading() as connection:
            return [AnalysisRow(**row) for row in connection.execute(query).mappings()]

    def analysis(self, which: int | str) -> AnalysisRow:
        """Return the result with this id or key.

        Raises:
            LabError: there is none.
        """
        column = tables.analyses.c.id if isinstance(which, int) else tables.analyses.c.key
        with self.reading() as connection:
            row = connection.execute(select(tables.analyses).where(column == which)).mappings().first()
        if row is None:
            raise LabError(
                "Unknown analysis",
                f"The store has no analysis `{which}`.",
                "Compute it again, or choose one from the list.",
            )
        self.person.require_study(row["study"])
        return AnalysisRow(**row)
