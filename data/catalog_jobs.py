"""Jobs in the catalogue: queued, claimed by one process, watched, finished."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import JobKind, JobRow, JobStatus, RunStatus


class Process(NamedTuple):
    """Who works on a job: a process by its id, its start in seconds since the epoch, and its machine."""

    pid: int
    started: float
    host: str


class JobCatalog(Database):
    """Who works on what, and how far it is."""

    def create_job(
        self, kind: JobKind, study: str, spec: dict[str, Any], process: Process | None = None
    ) -> JobRow:
        """Queue a job, or let it begin in `process` at once; `spec` is what its worker needs to know."""
        values = {
            "kind": kind,
            "study": study,
            "spec": spec,
            "step": 0,
            "steps": 0,
            "message": "",
            "person": self.person.name,
            "created_at": datetime.now(UTC),
            **_begun(process),
        }
        with self.writing("researcher") as connection:
            statement = insert(tables.jobs).values(values).returning(tables.jobs)
            job = JobRow(**connection.execute(statement).mappings().one())
            self.audit(connection, f"start {kind}", study, job=job.id)
            return job

    def claim_job(self, id: int, pid: int, process_started: float, host: str) -> bool:
        """Take a queued job; of several processes that try, exactly one is told True."""
        jobs = tables.jobs
        with self.writing("machine") as connection:
            queued = update(jobs).where(jobs.c.id == id, jobs.c.status == "queued")
            begun = queued.values(_begun(Process(pid, process_started, host)))
            return connection.execute(begun.returning(jobs.c.id)).first() is not None

    def requeue_job(self, id: int, process: Process | None = None) -> bool:
        """Queue a job again that was stopped or failed, or let it go on in `process` at once.

        Returns:
            False, and nothing is changed, when the job is not stopped or failed (any more).

        Raises:
            LabError: it is somebody else's.
        """
        jobs = tables.jobs
        with self.writing("researcher") as connection:
            study = self._require_own_job(connection, id)
            ended = update(jobs).where(jobs.c.id == id, jobs.c.status.in_(["stopped", "failed"]))
            ended = ended.values(finished_at=None, error=None, result=None, rate=None, message="")
            if connection.execute(ended.values(_begun(process)).returning(jobs.c.id)).first() is None:
                return False
            self.audit(connection, "resume job", study, job=id)
            return True

    def note_process(self, id: int, process: Process) -> None:
        """Write down which process was started to take a queued job; without effect once it is taken."""
        jobs = tables.jobs
        who = {"pid": process.pid, "process_started": process.started, "host": process.host}
        with self.writing("machine") as connection:
            queued = update(jobs).where(jobs.c.id == id, jobs.c.status == "queued")
            connection.execute(queued.values(who))

    def amend_spec(self, id: int, **changes: Any) -> dict[str, Any]:
        """Change parts of a job's specification, and return all of it.

        Raises:
            LabError: there is no job of that number.
        """
        jobs = tables.jobs
        with self.writing("machine") as connection:
            spec = connection.execute(select(jobs.c.spec).where(jobs.c.id == id)).scalar()
            if spec is None:
                raise _unknown(id)
            amended: dict[str, Any] = {**spec, **changes}
            connection.execute(update(jobs).where(jobs.c.id == id).values(spec=amended))
            return amended

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
        with self.writing("machine") as connection:
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
            LabError: there is no job of that number, or it is somebody else's.
        """
        jobs = tables.jobs
        with self.writing("researcher") as connection:
            study = self._require_own_job(connection, id)
            connection.execute(update(jobs).where(jobs.c.id == id).values(stop_requested=True))
            connection.execute(
                update(jobs)
                .where(jobs.c.id == id, jobs.c.status == "queued")
                .values(status="stopped", finished_at=datetime.now(UTC))
            )
            self.audit(connection, "stop job", study, job=id)

    def _require_own_job(self, connection: Connection, id: int) -> str:
        """Return the study of a job that whoever acts may stop and resume."""
        query = select(tables.jobs.c.study, tables.jobs.c.person).where(tables.jobs.c.id == id)
        job = connection.execute(query).first()
        if job is None:
            raise _unknown(id)
        self.person.require_own([job.person], f"job {id}")
        return str(job.study)

    def finish_job(
        self,
        id: int,
        status: JobStatus,
        error: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
        runs: RunStatus | None = None,
        pid: int | None = None,
    ) -> bool:
        """Write down how a job ended. Its first ending stands until it is queued again.

        Args:
            id: the job.
            status: how it ended.
            error: title, message and remedy.
            result: what it has to show.
            runs: how its unfinished runs ended, with it or not at all.
            pid: whom it is known of; when another process has the job by now, nothing is changed.

        Returns:
            Whether this was its ending.

        Raises:
            LabError: there is no job of that number.
        """
        now = datetime.now(UTC)
        jobs, of = tables.jobs, tables.runs
        open_ = (jobs.c.id == id) & jobs.c.status.in_(["queued", "running"])
        if pid is not None:
            open_ &= jobs.c.pid == pid
        ending = {"status": status, "error": error, "result": result, "finished_at": now}
        with self.writing("machine") as connection:
            statement = update(jobs).where(open_).values(ending).returning(jobs.c.id)
            ended = connection.execute(statement).first() is not None
            if ended and runs is not None:
                unfinished = (of.c.job == id) & of.c.status.in_(["queued", "running"])
                connection.execute(update(of).where(unfinished).values(status=runs, finished_at=now))
        if not ended:
            self.job(id)
        return ended


def _begun(process: Process | None) -> dict[str, Any]:
    """Return the columns of a job that waits, or that `process` has begun."""
    if process is None:
        who: dict[str, Any] = {"status": "queued", "pid": None, "process_started": None, "host": None}
        return {**who, "started_at": None, "heartbeat_at": None, "stop_requested": False}
    now = datetime.now(UTC)
    who = {"status": "running", "pid": process.pid, "process_started": process.started, "host": process.host}
    return {**who, "started_at": now, "heartbeat_at": now, "stop_requested": False}


def _unknown(id: int) -> LabError:
    return LabError("Unknown job", f"The store has no job {id}.", "List the jobs to see their numbers.")
