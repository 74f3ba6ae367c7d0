"""Studies and their metrics in the catalogue."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, exists, insert, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import MetricRow, Source, StudyRow


class StudyCatalog(Database):
    """What is studied and what is measured."""

    def save_study(self, name: str, title: str, claim: str, config: dict[str, Any], source: Source) -> None:
        """Describe a study, or describe it anew; the moment it was first described stays."""
        described = {"title": title, "claim": claim, "config": config, "source": source}
        statement = upsert(tables.studies).values(name=name, created_at=datetime.now(UTC), **described)
        with self.writing() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=described))

    def studies(self) -> list[StudyRow]:
        """Return every study, the oldest first; one whose imports are all undone is not there."""
        studies, uploads, runs = tables.studies, tables.uploads, tables.runs
        counts = exists().where(uploads.c.study == studies.c.name, uploads.c.undone_at.is_(None))
        other = exists().where(runs.c.study == studies.c.name, runs.c.deleted_at.is_(None))
        there = or_(studies.c.source != "upload", counts, other)
        query = select(studies).where(there).order_by(studies.c.created_at, studies.c.name)
        with self.reading() as connection:
            return [StudyRow(**row) for row in connection.execute(query).mappings()]

    def study(self, name: str) -> StudyRow:
        """Return one study.

        Raises:
            LabError: there is none of that name; the error names those there are.
        """
        with self.reading() as connection:
            query = select(tables.studies).where(tables.studies.c.name == name)
            found = connection.execute(query).mappings().first()
            names = [] if found else connection.execute(select(tables.studies.c.name)).scalars().all()
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
        with self.writing() as connection:
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
        columns = [column for column in tables.metrics.c if column.name != "position"]
        query = select(*columns).where(tables.metrics.c.study == study).order_by(tables.metrics.c.position)
        with self.reading() as connection:
            return [MetricRow(**row) for row in connection.execute(query).mappings()]
