"""Imports of logs made elsewhere: each counts at once and whole, and can be undone and done again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from data import tables
from data.catalog_runs import current_ids
from data.database import Database
from data.errors import LabError
from data.rows import MetricRow, UploadRow


class UploadCatalog(Database):
    """What was imported, from which files, by whom."""

    def reserve_runs(self, job: int, count: int) -> list[int]:
        """Return ids that no run has or will get by itself, for runs that `add_upload` writes down later.

        Nothing is left behind but the numbers, which are never given again.
        """
        now = datetime.now(UTC)
        name = f"reserved by job {job}"
        study = {"name": name, "title": "", "claim": "", "config": {}, "source": "upload", "created_at": now}
        run = {
            "study": name, "job": job, "arm": "", "status": "queued", "step": 0, "steps": 0, "device": "",
            "config": {}, "finals": {}, "started_at": now, "tags": [], "note": "",
        }  # fmt: skip
        with self.writing("machine") as connection:
            connection.execute(insert(tables.studies).values(study))
            statement = insert(tables.runs).returning(tables.runs.c.id, sort_by_parameter_order=True)
            rows = [{**run, "seed": seed} for seed in range(count)]
            ids = list(connection.execute(statement, rows).scalars())
            connection.execute(delete(tables.runs).where(tables.runs.c.study == name))
            connection.execute(delete(tables.studies).where(tables.studies.c.name == name))
            return ids

    def add_upload(
        self,
        study: str,
        job: int,
        metrics: Sequence[MetricRow],
        runs: Sequence[Mapping[str, Any]],
        segment: Mapping[str, Any],
        upload: Mapping[str, Any],
    ) -> UploadRow:
        """Let an import count: study, metrics, runs, rows and provenance in one transaction.

        Args:
            study: its name; a study of that name that was imported before gets more runs.
            job: that made the import.
            metrics: of the study; those described before stay as they were.
            runs: with all fields of a run but `study` and `job`, `id` as reserved.
            segment: the sealed file: part, path, rows, first_step, last_step, bytes and sha256.
            upload: the fields of an `UploadRow` but `id`, `study`, `job`, `created_at` and `undone_at`.

        Raises:
            LabError: a study of that name was trained here, or all files were imported into it meanwhile;
                nothing is changed then.
        """
        now = datetime.now(UTC)
        with self.writing("machine") as connection:
            source = connection.execute(
                select(tables.studies.c.source).where(tables.studies.c.name == study)
            ).scalar()
            if source is None:
                values = {
                    "title": study, "claim": "", "config": {}, "source": "upload", "created_at": now,
                    "person": upload["who"],
                }  # fmt: skip
                connection.execute(insert(tables.studies).values(name=study, **values))
            elif source == "engine":
                raise trained_here(study)
            counting = (tables.uploads.c.study == study) & tables.uploads.c.undone_at.is_(None)
            files = connection.execute(select(tables.uploads.c.files).where(counting)).scalars()
            before = {file["sha256"] for each in files for file in each}
            if all(file["sha256"] in before for file in upload["files"]):
                raise LabError(
                    "The files were imported already",
                    f"Another import into `{study}` took them while this one was made.",
                    "There is nothing left to do.",
                )
            query = select(tables.metrics.c.name).where(tables.metrics.c.study == study)
            known = {name.lower() for name in connection.execute(query).scalars()}
            new = [asdict(row) for row in metrics if row.name.lower() not in known]
            if new:
                rows = [{**row, "position": len(known) + place} for place, row in enumerate(new)]
                connection.execute(insert(tables.metrics), rows)
            connection.execute(insert(tables.runs), [{**run, "study": study, "job": job} for run in runs])
            connection.execute(insert(tables.segments).values(job=job, created_at=now, **segment))
            statement = insert(tables.uploads).values(study=study, job=job, created_at=now, **upload)
            return UploadRow(**connection.execute(statement.returning(tables.uploads)).mappings().one())

    def uploads(self, study: str | None = None) -> list[UploadRow]:
        """Return imports, undone ones too, the newest first."""
        study = self.person.within(study)
        query = select(tables.uploads).order_by(tables.uploads.c.id.desc())
        if study is not None:
            query = query.where(tables.uploads.c.study == study)
        with self.reading() as connection:
            return [UploadRow(**row) for row in connection.execute(query).mappings()]

    def upload(self, id: int) -> UploadRow:
        """Return one import.

        Raises:
            LabError: there is none of that number.
        """
        with self.reading() as connection:
            row = (
                connection.execute(select(tables.uploads).where(tables.uploads.c.id == id)).mappings().first()
            )
        if row is None:
            raise LabError(
                "Unknown import", f"The store has no import {id}.", "List the imports to see their numbers."
            )
        self.person.require_study(row["study"])
        return UploadRow(**row)

    def undo_upload(self, id: int) -> UploadRow:
        """Take an import's runs out of every list and figure; a study with no other import goes with them.

        Raises:
            LabError: there is no such import, it is undone already, or it is somebody else's.
        """
        found = self.upload(id)
        now = datetime.now(UTC)
        runs, uploads = tables.runs, tables.uploads
        with self.writing("researcher") as connection:
            self._require_own_upload(connection, found)
            undone = (
                update(uploads).where(uploads.c.id == id, uploads.c.undone_at.is_(None)).values(undone_at=now)
            )
            if connection.execute(undone.returning(uploads.c.id)).first() is None:
                raise LabError(
                    "The import is undone already",
                    f"Import {id} of `{found.study}` was undone.",
                    "There is nothing left to undo.",
                )
            mine = update(runs).where(runs.c.job == found.job, runs.c.deleted_at.is_(None))
            connection.execute(mine.values(deleted_at=now))
            self.audit(connection, "undo import", found.study, upload=id)
        return self.upload(id)

    def redo_upload(self, id: int) -> UploadRow:
        """Bring back what `undo_upload` took away; runs that were deleted before it stay deleted.

        Raises:
            LabError: there is no such import, it was not undone, it is somebody else's, or its files were
                imported anew since.
        """
        found = self.upload(id)
        if found.undone_at is None:
            raise LabError(
                "The import was not undone",
                f"Import {id} of `{found.study}` counts.",
                "There is nothing to bring back.",
            )
        known = self.imported_files(found.study)
        again = [file["name"] for file in found.files if file["sha256"] in known]
        if again:
            raise LabError(
                "The files were imported anew",
                f"`{again[0]}` is in another import of `{found.study}`.",
                "Undo that one first.",
            )
        runs, uploads = tables.runs, tables.uploads
        with self.writing("researcher") as connection:
            self._require_own_upload(connection, found)
            moment = select(uploads.c.undone_at).where(uploads.c.id == id).scalar_subquery()
            mine = update(runs).where(runs.c.job == found.job, runs.c.deleted_at == moment)
            connection.execute(mine.values(deleted_at=None))
            connection.execute(update(uploads).where(uploads.c.id == id).values(undone_at=None))
            self.audit(connection, "redo import", found.study, upload=id)
        return self.upload(id)

    def _require_own_upload(self, connection: Connection, upload: UploadRow) -> None:
        owner = connection.execute(select(tables.jobs.c.person).where(tables.jobs.c.id == upload.job))
        self.person.require_own([owner.scalar_one()], f"import {upload.id}")

    def imported_files(self, study: str | None = None) -> dict[str, str]:
        """Return the study of every file that counts, by its SHA-256; the files of one study, or of all."""
        uploads = [row for row in self.uploads(study) if row.undone_at is None]
        return {file["sha256"]: row.study for row in uploads for file in row.files}

    def replaced(self, study: str, runs: Sequence[tuple[str, int]]) -> int:
        """Return how many of these (arm, seed) a study has already."""
        with self.reading() as connection:
            there = {(arm, seed) for _, arm, seed in connection.execute(current_ids(study))}
        return len(there & set(runs))

    def require_importable(self, study: str) -> None:
        """Refuse a name that a trained study has.

        Raises:
            LabError: it has.
        """
        with self.reading() as connection:
            query = select(func.count()).where(
                tables.studies.c.name == study, tables.studies.c.source == "engine"
            )
            if connection.execute(query).scalar():
                raise trained_here(study)


def trained_here(study: str) -> LabError:
    """Return the error of an import into a study of the engine."""
    return LabError(
        "This study is trained here",
        f"`{study}` is a study of the engine; its runs and others' would be averaged as one.",
        "Choose another name for the import.",
    )
