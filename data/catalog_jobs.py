"""Jobs in the catalogue: queued, claimed by one process, watched, finished."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.queueing import Capacity, Line, Waiting
from data.rows import JobKind, JobRow, JobStatus, RunStatus
from data.settings import Limits, settings

NO_LIMITS = Limits(running=0, queued=0, seeds=0, hours=0.0, storage_gb=0.0)
"""Of the accounts of this machine, which reach the lab's files anyway."""
WHO_RAISES = "An administrator of the lab can raise the limit."
"""Ends what is said of a limit."""
STARTS = 3
"""How often a process is started for a job before it counts as one that cannot be."""


class Process(NamedTuple):
    """Who works on a job: a process by its id, its start (see `engine.jobs.processes`), and its machine."""

    pid: int
    started: float
    host: str


class JobCatalog(Database):
    """Who works on what, and how far it is."""

    def create_job(
        self,
        kind: JobKind,
        study: str,
        spec: dict[str, Any],
        process: Process | None = None,
        gpu: int | None = None,
    ) -> JobRow:
        """Queue a job, or let it begin in `process` at once; `spec` is what its worker needs to know.

        Raises:
            LabError: whoever acts may not, or has as much as they may; another job has the `gpu` that it is
                to begin on.
        """
        values = {
            "kind": kind,
            "study": study,
            "spec": spec,
            "step": 0,
            "steps": 0,
            "message": "",
            "person": self.person.name,
            "created_at": datetime.now(UTC),
            **_begun(process, gpu),
        }
        with self.writing("researcher") as connection:
            self._require_within_limits(connection, kind, spec)
            _require_free(connection, process, gpu)
            statement = insert(tables.jobs).values(values).returning(tables.jobs)
            job = JobRow(**connection.execute(statement).mappings().one())
            self.audit(connection, f"start {kind}", study, job=job.id)
            return job

    def claim_job(self, id: int, pid: int, process_started: float, host: str, gpu: int | None = None) -> bool:
        """Take a queued job; of several processes that try, exactly one is told True.

        Who was started for a job says which GPU was kept for it: by now the job may have another.
        """
        jobs = tables.jobs
        with self.writing("machine") as connection:
            waits = (jobs.c.id == id) & (jobs.c.status == "queued") & jobs.c.gpu.is_not_distinct_from(gpu)
            spec = connection.execute(select(jobs.c.spec).where(waits)).scalar()
            if spec is None:
                return False
            begun = {**_begun(Process(pid, process_started, host), gpu), "spec": _unstarted(spec)}
            connection.execute(update(jobs).where(jobs.c.id == id).values(begun))
            return True

    def requeue_job(self, id: int, process: Process | None = None, gpu: int | None = None) -> bool:
        """Queue a job again that was stopped or failed, or let it go on in `process` at once.

        Returns:
            False, and nothing is changed, when the job is not stopped or failed (any more).

        Raises:
            LabError: it is somebody else's, whoever acts has as much as they may, or another job has the
                `gpu` that it is to go on on.
        """
        jobs = tables.jobs
        with self.writing("researcher") as connection:
            study = self._require_own_job(connection, id)
            ended = (jobs.c.id == id) & jobs.c.status.in_(["stopped", "failed"])
            job = connection.execute(select(jobs.c.kind, jobs.c.spec).where(ended)).first()
            if job is None:
                return False
            self._require_within_limits(connection, job.kind, job.spec)
            _require_free(connection, process, gpu)
            anew = {"finished_at": None, "error": None, "result": None, "rate": None, "message": ""}
            again = {**anew, **_begun(process, gpu), "spec": _unstarted(job.spec)}
            connection.execute(update(jobs).where(jobs.c.id == id).values(again))
            self.audit(connection, "resume job", study, job=id)
            return True

    def take_next(self, process: Process, capacity: Capacity) -> JobRow | None:
        """Keep the queued job that goes next for `process`, which starts it on its machine.

        It stays queued until the process that is started for it claims it; `release_job` gives it back.

        Returns:
            The job, with the GPU that it is to have; None where none may begin now.
        """
        jobs = tables.jobs
        with self.reading() as connection:  # most who ask get nothing: they need not hold up the writers
            if self._line(connection, process.host, capacity).next() is None:
                return None
        with self.writing("machine") as connection:
            found = self._line(connection, process.host, capacity).next()
            if found is None:
                return None
            job, gpu = found
            who = {"pid": process.pid, "process_started": process.started, "host": process.host, "gpu": gpu}
            kept = {**who, "spec": {**job.spec, "starts": job.spec.get("starts", 0) + 1}}
            kept["heartbeat_at"] = datetime.now(UTC)
            statement = update(jobs).where(jobs.c.id == job.id).values(kept).returning(jobs)
            return JobRow(**connection.execute(statement).mappings().one())

    def waiting(self, host: str, capacity: Capacity) -> list[Waiting]:
        """Return the jobs that nobody has taken, in the order in which they go, and what each waits for."""
        with self.reading() as connection:
            return self._line(connection, host, capacity).told()

    def free_gpus(self, host: str, capacity: Capacity) -> list[int]:
        """Return the numbers of a machine's GPUs that no job has."""
        with self.reading() as connection:
            return self._line(connection, host, capacity).free_gpus()

    def _line(self, connection: Connection, host: str, capacity: Capacity) -> Line:
        jobs, runs = tables.jobs, tables.runs
        query = select(jobs).where(jobs.c.status.in_(["queued", "running"]), jobs.c.kind != "log")
        active = [JobRow(**row) for row in connection.execute(query.order_by(jobs.c.id)).mappings()]
        waiting = [job for job in active if job.status == "queued" and job.host is None]
        people = sorted({job.person for job in waiting})
        began = select(jobs.c.person, func.max(jobs.c.started_at)).where(jobs.c.person.in_(people))
        served = {
            person: moment for person, moment in connection.execute(began.group_by(jobs.c.person)) if moment
        }
        ran = select(runs.c.job, func.max(runs.c.device).label("device")).where(
            runs.c.job.in_([job.id for job in waiting])
        )
        return Line(
            waiting=waiting,
            at_work=[job for job in active if job.status == "running" or job.host is not None],
            served=served,
            running={person: self._limits(connection, person).running for person in people},
            begun_on={row.job: row.device for row in connection.execute(ran.group_by(runs.c.job))},
            host=host,
            capacity=capacity,
        )

    def limits_for(self, name: str) -> Limits:
        """Return what somebody may take: the lab's limits with their own over them.

        An account of this machine, which is no address and never signed in, has none.
        """
        with self.reading() as connection:
            return self._limits(connection, name)

    def _limits(self, connection: Connection, name: str) -> Limits:
        query = select(tables.people.c.limits).where(tables.people.c.name == name)
        own = connection.execute(query).scalar()
        if own is None and "@" not in name:
            return NO_LIMITS
        lab = asdict(settings().limits)
        return Limits(**{key: (own or {}).get(key, value) for key, value in lab.items()})

    def _require_within_limits(self, connection: Connection, kind: JobKind, spec: dict[str, Any]) -> None:
        """Refuse a job of somebody who has as many as they may, or one that is larger than it may be."""
        if self.person.local or kind == "log":
            return
        jobs, limits = tables.jobs, self._limits(connection, self.person.name)
        query = select(func.count()).where(
            jobs.c.person == self.person.name, jobs.c.status.in_(["queued", "running"]), jobs.c.kind != "log"
        )
        there = connection.execute(query).scalar_one()
        if 0 < limits.queued <= there:
            raise LabError(
                "Too many jobs",
                f"{self.person.name} has {there} jobs that wait or run, as many as one person may.",
                f"Wait until one has ended, or cancel one. {WHO_RAISES}",
            )
        runs = len(spec.get("arms") or [0]) * len(spec.get("seeds") or []) if kind == "train" else 0
        if 0 < limits.seeds < runs:
            raise LabError(
                "Too many runs",
                f"The training has {runs:,} runs, arms times seeds; {self.person.name} may train "
                f"{limits.seeds:,} at a time.",
                f"Train fewer seeds or arms. {WHO_RAISES}",
            )

    def put_back(self, id: int, pid: int | None) -> bool:
        """Queue a job again whose process was asked to end, for whoever comes next.

        Returns:
            False, and nothing is changed, when a person asked the job to stop, or it has ended or gone on in
            another process.
        """
        jobs, runs = tables.jobs, tables.runs
        with self.writing("machine") as connection:
            interrupted = (jobs.c.id == id) & (jobs.c.status == "running") & (jobs.c.pid == pid)
            again = {**_begun(None, None), "rate": None, "message": "", "error": None, "result": None}
            statement = update(jobs).where(interrupted, ~jobs.c.stop_requested).values(again)
            if connection.execute(statement.returning(jobs.c.id)).first() is None:
                return False
            unfinished = (runs.c.job == id) & runs.c.status.in_(["running", "stopped"])
            connection.execute(update(runs).where(unfinished).values(status="queued", finished_at=None))
            return True

    def release_job(self, id: int, pid: int | None) -> bool:
        """Let a job wait again that was kept for a process which is gone, if it still is.

        Returns:
            Whether it waits again; False too when starting it failed too often.
        """
        jobs = tables.jobs
        with self.writing("machine") as connection:
            kept = (jobs.c.id == id) & (jobs.c.status == "queued") & (jobs.c.pid == pid)
            job = connection.execute(select(jobs.c.spec, jobs.c.started_at).where(kept)).first()
            if job is None or (job.started_at is not None and job.spec.get("starts", 0) >= STARTS):
                return False
            connection.execute(update(jobs).where(kept).values(_begun(None, None)))
            return True

    def note_process(self, id: int, process: Process) -> None:
        """Write down which process was started to take a queued job; without effect once it is taken."""
        jobs = tables.jobs
        who = {"pid": process.pid, "process_started": process.started, "host": process.host}
        who["started_at"] = datetime.now(UTC)
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

    def job(self, id: int) -> JobRow:
        """Return one job.

        Raises:
            LabError: there is no job of that number.
        """
        with self.reading() as connection:
            row = connection.execute(select(tables.jobs).where(tables.jobs.c.id == id)).mappings().first()
        if row is None:
            raise _unknown(id)
        self.person.require_study(row["study"])
        return JobRow(**row)

    def device_of(self, id: int) -> str | None:
        """Return where a job's runs train; None before it has any."""
        query = select(tables.runs.c.device).where(tables.runs.c.job == id).limit(1)
        with self.reading() as connection:
            return connection.execute(query).scalar()

    def jobs(self, study: str | None = None) -> list[JobRow]:
        """Return the jobs of a study, or of all, the newest first."""
        study = self.person.within(study)
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


def _begun(process: Process | None, gpu: int | None) -> dict[str, Any]:
    """Return the columns of a job that waits, or that `process` has begun."""
    if process is None:
        who: dict[str, Any] = {"status": "queued", "pid": None, "process_started": None, "host": None}
        return {**who, "gpu": None, "started_at": None, "heartbeat_at": None, "stop_requested": False}
    now = datetime.now(UTC)
    who = {"status": "running", "pid": process.pid, "process_started": process.started, "host": process.host}
    return {**who, "gpu": gpu, "started_at": now, "heartbeat_at": now, "stop_requested": False}


def _unstarted(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "starts"}


def _require_free(connection: Connection, process: Process | None, gpu: int | None) -> None:
    """Refuse a GPU that another job of the machine has."""
    if process is None or gpu is None:
        return
    jobs = tables.jobs
    taken = (jobs.c.host == process.host) & (jobs.c.gpu == gpu) & jobs.c.status.in_(["queued", "running"])
    if (other := connection.execute(select(jobs.c.id).where(taken)).scalar()) is not None:
        raise LabError("The GPU is taken", f"Job {other} has GPU {gpu} for itself.", "Try again.")


def _unknown(id: int) -> LabError:
    return LabError("Unknown job", f"The store has no job {id}.", "List the jobs to see their numbers.")
