"""Jobs in the catalogue: queued, claimed by one process, watched, finished."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import JobKind, JobRow, JobStatus


class JobCatalog(Database):
    """Who works on what, and how far it is."""

    def create_job(self, kind: JobKind, study: str, spec: dict[str, Any]) -> JobRow:
        """Queue a job; `spec` is what its worker needs to know."""
        values = {
            "kind": kind,
            "study": study,
            "spec": spec,
            "status": "queued",
            "step": 0,
            "steps": 0,
            "message": "",
            "stop_requested": False,
            "created_at": datetime.now(UTC),
        }
        with self.writing() as connection:
            statement = insert(tables.jobs).values(values).returning(tables.jobs)
            return JobRow(**connection.execute(statement).mappings().one())

    def claim_job(self, id: int, pid: int, process_started: float, host: str) -> bool:
        """Take a queued job; of several processes that try, exactly one is told True."""
        now = datetime.now(UTC)
        with self.writing() as connection:
            statement = (
                update(tables.jobs)
                .where(tables.jobs.c.id == id, tables.jobs.c.status == "queued")
                .values(status="running", pid=pid, process_started=process_started, host=host)
                .values(started_at=now, heartbeat_at=now)
                .returning(tables.jobs.c.id)
            )
            return connection.execute(statement).first() is not None

    def next_job(self) -> int | None:
        """Return the job that has been queued longest; take it with `claim_job`."""
        query = select(tables.jobs.c.id).where(tables.jobs.c.status == "queued").order_by(tables.jobs.c.id)
        with self.reading() as connection:
            return connection.execute(query.limit(1)).scalar()

    def job(self, id: int) -> JobRow:
        """Return one job.

        Raises:
            LabError: there is no job of that number.
        """
        with self.reading() as connection:
            row = connection.execute(select(tables.jobs).where(tables.jobs.c.id == id)).mappings().first()
        if row is None:
            raise _unknown(id)
        return JobRow(**row)

    def jobs(self, study: str | None = None) -> list[JobRow]:
        """Return the jobs of a study, or of all, the newest first."""
        query = select(tables.jobs).order_by(tables.jobs.c.id.desc())
        if study is not None:
            query = query.where(tables.jobs.c.study == study)
        with self.reading() as connection:
            return [JobRow(**row) for row in connection.execute(query).mappings()]

    def heartbeat(self, id: int, step: int, steps: int, rate: float | None, message: str) -> bool:
        """Report progress (`rate` in steps per second); True means that somebody asked the job to stop.

        Raises:
            LabError: there is no job of that number.
        """
        now = datetime.now(UTC)
        with self.writing() as connection:
            statement = (
                update(tables.jobs)
                .where(tables.jobs.c.id == id)
                .values(step=step, steps=steps, rate=rate, message=message, heartbeat_at=now)
                .returning(tables.jobs.c.stop_requested)
            )
            asked = connection.execute(statement).scalar()
        if asked is None:
            raise _unknown(id)
        return bool(asked)

    def request_stop(self, id: int) -> None:
        """Ask a job to stop: a queued one is stopped at once, a running one at its next heartbeat.

        Raises:
            LabError: there is no job of that number.
        """
        jobs = tables.jobs
        with self.writing() as connection:
            found = connection.execute(
                update(jobs).where(jobs.c.id == id).values(stop_requested=True).returning(jobs.c.id)
            ).first()
            connection.execute(
                update(jobs)
                .where(jobs.c.id == id, jobs.c.status == "queued")
                .values(status="stopped", finished_at=datetime.now(UTC))
            )
        if found is None:
            raise _unknown(id)

    def finish_job(
        self,
        id: int,
        status: JobStatus,
        error: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> None:
        """Write down how a job ended; `error` holds title, message and remedy. Its first ending stands.

        Raises:
            LabError: there is no job of that number.
        """
        now = datetime.now(UTC)
        with self.writing() as connection:
            statement = (
                update(tables.jobs)
                .where((tables.jobs.c.id == id) & tables.jobs.c.status.in_(["queued", "running"]))
                .values(status=status, error=error, result=result, finished_at=now)
                .returning(tables.jobs.c.id)
            )
            ended = connection.execute(statement).first() is None
        if ended:
            self.job(id)


def _unknown(id: int) -> LabError:
    return LabError("Unknown job", f"The store has no job {id}.", "List the jobs to see their numbers.")
