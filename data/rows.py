"""What the catalogue gives back: plain frozen records, never live database objects."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from data.people import Role

Source = Literal["engine", "upload", "client"]
RunStatus = Literal["queued", "running", "done", "diverged", "stopped", "failed"]
JobStatus = Literal["queued", "running", "done", "failed", "stopped"]
JobKind = Literal["train", "fit", "explain", "what_if", "connect", "import_logs", "log"]
CheckpointKind = Literal["state", "weights"]
Scope = Literal["log", "read", "run"]


@dataclass(frozen=True)
class StudyRow:
    """A study: the claim it tests and how it was set up."""

    name: str
    title: str
    claim: str
    config: dict[str, Any]
    source: Source
    created_at: datetime
    person: str
    pinned_at: datetime | None
    archived_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True)
class RunRow:
    """One arm and seed, trained once; `finals` holds the last value of each metric (NULL: never measured)."""

    id: int
    study: str
    job: int
    arm: str
    seed: int
    status: RunStatus
    step: int
    steps: int
    diverged_at: int | None
    diverged_what: str | None
    converged_at: int | None
    converged_what: str | None
    device: str
    config: dict[str, Any]
    finals: dict[str, float | None]
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    tags: list[str]
    note: str
    archived_at: datetime | None
    deleted_at: datetime | None


class RunState(NamedTuple):
    """How far a run is: what a count of runs needs of it."""

    id: int
    study: str
    job: int
    arm: str
    seed: int
    status: RunStatus
    steps: int


@dataclass(frozen=True)
class JobRow:
    """A unit of long work; `rate` in steps per second, `process_started` as `engine.jobs.processes` says.

    `person` is who asked for it, `gpu` the number of the device that it has for itself on its host.
    """

    id: int
    kind: JobKind
    study: str
    spec: dict[str, Any]
    status: JobStatus
    step: int
    steps: int
    rate: float | None
    message: str
    pid: int | None
    process_started: float | None
    host: str | None
    heartbeat_at: datetime | None
    stop_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    person: str
    gpu: int | None


@dataclass(frozen=True)
class MetricRow:
    """What a column of the traces is; `log` says that it is normally drawn on a log axis."""

    study: str
    name: str
    label: str
    unit: str
    formula: str
    source: str
    log: bool


@dataclass(frozen=True)
class SegmentRow:
    """A sealed trace file: the job's rows up to part `part` that its lower segments do not hold."""

    id: int
    job: int
    part: int
    path: str
    rows: int
    first_step: int
    last_step: int
    bytes: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True)
class CheckpointRow:
    """A file of tensors: all that a stack goes on from ("state"), or the weights of runs at a step.

    `runs` are in the order of the tensors' first axis; weights belong to no stack.
    """

    id: int
    job: int
    kind: CheckpointKind
    stack: int | None
    step: int
    runs: list[int]
    path: str
    sha256: str
    bytes: int
    created_at: datetime


@dataclass(frozen=True)
class AnalysisRow:
    """A stored result: what went in, what came out, and the file that holds its arrays."""

    id: int
    study: str
    kind: str
    key: str
    inputs: dict[str, Any]
    summary: dict[str, Any]
    path: str
    code_version: str
    data_version: str
    seed: int | None
    job: int | None
    created_at: datetime


@dataclass(frozen=True)
class UploadRow:
    """An import of logs: what it was made from, by whom, and whether it was undone.

    `files` hold name, sha256, size, importer and version of each; `mapping` says what was corrected.
    """

    id: int
    study: str
    job: int
    files: list[dict[str, Any]]
    mapping: dict[str, Any]
    runs: int
    rows: int
    skipped: list[list[str]]
    warnings: list[str]
    who: str
    code_version: str
    created_at: datetime
    undone_at: datetime | None


@dataclass(frozen=True)
class TokenRow:
    """A token by which a program reaches the lab; its text is kept nowhere. `scope` says what it may do."""

    id: int
    name: str
    scope: Scope
    person: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True)
class PersonRow:
    """Somebody who may sign in; `limits` hold those of the lab's that are others for them."""

    name: str
    shown_as: str
    role: Role
    limits: dict[str, Any]
    created_at: datetime
    seen_at: datetime | None
    shut_out_at: datetime | None


@dataclass(frozen=True)
class SavedViewRow:
    """A view as somebody left it; `public_at` is since when whoever has its public link sees it."""

    code: str
    person: str
    view: str
    study: str
    title: str
    parameters: dict[str, Any]
    created_at: datetime
    public_at: datetime | None


@dataclass(frozen=True)
class NoteRow:
    """What somebody wrote about something of a study."""

    id: int
    person: str
    study: str
    about: str
    text: str
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class ReportRow:
    """Text, saved views and figures of them, in an order; `save_report` says what a part has."""

    code: str
    person: str
    title: str
    parts: list[dict[str, str]]
    created_at: datetime
    changed_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class AuditRow:
    """Who changed what, and when."""

    id: int
    at: datetime
    person: str
    action: str
    target: str
    detail: dict[str, Any]
