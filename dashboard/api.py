"""What programs call: runs that log themselves, by a token, and whether the lab is ready."""

import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.links import path
from data.columns import schema
from data.durable import refused
from data.errors import LabError
from data.importing.limits import LIMITS
from data.rows import MetricRow, Scope, TokenRow
from data.store import Store, locate, open_store
from engine.jobs.queue import reap
from engine.logging_to import Ended, Row
from engine.logging_to.store import StoreSink, start, take_up

LARGEST = 16 << 20
"""Bytes of one call."""
LARGEST_CONFIG = 256 << 10
"""Bytes of a run's configuration, which every list of runs reads."""
IDLE_S = 600.0
"""Seconds without a row after which a run's traces are let go; the next row takes them up again."""

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A call that is answered with an error: HTTP status and what to say."""

    def __init__(self, status: int, error: LabError) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error


class Desk:
    """The runs that log themselves to this server, each with its writer; calls come from many threads."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._sinks: dict[int, tuple[StoreSink, threading.Lock, float]] = {}
        self._lock = threading.Lock()

    @property
    def store(self) -> Store:
        """The lab's store, opened once and made where there is none."""
        with self._lock:
            if self._store is None:
                self._store = open_store(locate(), create=True)
            return self._store

    def begin(self, token: TokenRow, told: dict[str, Any]) -> dict[str, Any]:
        """Begin a run; see `Run`."""
        study, arm, config = str(told["study"]), str(told["arm"]), told.get("config", {})
        seed, steps = _whole(told, "seed"), _whole(told, "steps")
        if not study.strip() or not arm.strip() or max(len(study), len(arm)) > LIMITS.name:
            raise ValueError(f"`study` and `arm` must be names of at most {LIMITS.name} characters")
        if not isinstance(config, dict) or len(json.dumps(config)) > LARGEST_CONFIG:
            raise ValueError(f"`config` must be an object of at most {LARGEST_CONFIG >> 10} KiB")
        reap(self.store)
        theirs = self.store.acting_as(self.store.catalog.bearer(token))
        job = start(theirs, study, arm, seed, steps, config, f"token {token.id}")
        return {"job": job}

    def write(self, token: TokenRow, job: int, told: dict[str, Any]) -> dict[str, Any]:
        """Write rows of a run."""
        study = self._own(token, job)
        rows = [_row(one) for one in told["rows"]]
        if any(row.step <= before.step for before, row in pairwise(rows)):
            raise ValueError("the steps of a call must rise")
        metrics = [_metric(study, one) for one in told.get("metrics", [])]
        names = {name for row in rows for name in row.values} | {metric.name for metric in metrics}
        if any(len(name) > LIMITS.name for name in names) or len(names) > LIMITS.columns:
            raise ValueError(f"at most {LIMITS.columns} metrics, of {LIMITS.name} characters each, are taken")
        if not rows:
            return {"stop_requested": False}
        sink, lock = self._sink(job)
        with lock:
            return {"stop_requested": sink.write(rows, metrics)}

    def end(self, token: TokenRow, job: int, told: dict[str, Any]) -> dict[str, Any]:
        """End a run."""
        self._own(token, job)
        if told["status"] not in ("done", "diverged", "failed", "stopped"):
            raise ValueError(f"`status` cannot be {told['status']!r}")
        diverged = told.get("diverged")
        finals = {str(name): float(value) for name, value in told["finals"].items()}
        ended = Ended(
            told["status"],
            str(told.get("what", ""))[:500],
            (_step(diverged[0]), str(diverged[1])[:500]) if diverged else None,
            finals,
            float(told["seconds"]),
        )
        if self.store.catalog.job(job).status in ("done", "failed"):
            return {}  # said twice, because the answer was lost
        sink, lock = self._sink(job)
        with lock:
            sink.end(ended)
        with self._lock:
            self._sinks.pop(job, None)
        return {}

    def close(self) -> None:
        """Let every run's traces go; what was answered for is on the disk."""
        with self._lock:
            for job in list(self._sinks):
                self._let_go(job)

    def _own(self, token: TokenRow, job: int) -> str:
        """Return the study of a run that this token began."""
        row = self.store.catalog.job(job)
        if row.spec.get("who") != f"token {token.id}":
            error = LabError("Not allowed", f"Another token began run {job}.", "Begin a run of your own.")
            raise RefusedError(403, error)
        return row.study

    def _sink(self, job: int) -> tuple[StoreSink, threading.Lock]:
        now = time.monotonic()
        with self._lock:
            for other, (*_, used) in list(self._sinks.items()):
                if now - used > IDLE_S and other != job:
                    self._let_go(other)
            if job not in self._sinks:
                store = self._store or open_store(locate())
                reap(store)  # a run that a former server had is stopped first, and goes on here
                self._sinks[job] = take_up(store, job), threading.Lock(), now
            sink, lock, _ = self._sinks[job]
            self._sinks[job] = sink, lock, now
            return sink, lock

    def _let_go(self, job: int) -> None:
        """Close a run's traces; that the disk is full is no matter of whoever comes now."""
        sink, lock, _ = self._sinks.pop(job)
        try:
            with lock:
                sink.close()
        except LabError as error:
            log.warning("The rows of run %d are not sealed yet: %s", job, error)


DESK = Desk()


def _whole(told: dict[str, Any], name: str) -> int:
    value = told.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(f"`{name}` must be a whole number from 0")
    return value


def _step(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or not -(2**62) < told < 2**62:
        raise ValueError("a step must be a whole number")
    return told


def _metric(study: str, told: Any) -> MetricRow:
    texts = {name: str(told[name])[:1000] for name in ("label", "unit", "formula", "source")}
    name = str(told["name"])
    schema([name], "float64")  # refuses what no metric can be called
    return MetricRow(study=study, name=name, log=bool(told["log"]), **texts)


def _row(told: Any) -> Row:
    step, epoch, seconds, values = told
    return Row(
        _step(step),
        None if epoch is None else float(epoch),
        float(seconds),
        {str(name): float(value) for name, value in values.items()},
    )


def answered(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint whose errors are answers, each with its HTTP status and what to do."""

    async def told(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedError as refusal:
            return _error(refusal.status, refusal.error)
        except LabError as error:
            return _error(_STATUS.get(error.title, 409), error)
        except OSError as error:  # a disk that is full, broken or only reads
            return _error(507, refused(error, "What was sent", Path(error.filename or locate())))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            said = LabError("Not understood", f"The call was not understood: {what}.", "See docs/uploads.md.")
            return _error(400, said)

    return told


_STATUS = {"The disk is full": 507, "Not allowed": 403, "It is somebody else's": 403}


def _answer(work: Callable[[TokenRow, int, dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
    """Return an endpoint of runs that log themselves: the token is checked before anything else is read."""

    async def endpoint(request: Request) -> Response:
        token = await run_in_threadpool(token_of, request, "log")
        told = await body(request)
        job = int(request.path_params.get("job", 0))
        return JSONResponse(await run_in_threadpool(work, token, job, told))

    return answered(endpoint)


def token_of(request: Request, *scopes: Scope) -> TokenRow:
    """Return the token that a call carries.

    Raises:
        RefusedError: there is none, or it has none of these scopes.
    """
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    try:
        return DESK.store.catalog.require_token(text.strip() if kind.lower() == "bearer" else "", *scopes)
    except LabError as error:
        raise RefusedError(401, error) from error


def bearer(request: Request, *scopes: Scope) -> Store:
    """Return the store in the hands of whoever holds the token that a call carries.

    Raises:
        RefusedError: there is no token, or it has none of these scopes.
        LabError: its maker may not use the lab any more.
    """
    token = token_of(request, *scopes)
    return DESK.store.acting_as(DESK.store.catalog.bearer(token))


async def body(request: Request) -> dict[str, Any]:
    """Return what a call tells.

    Raises:
        RefusedError: it is too long.
        ValueError: it is no JSON object.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            error = LabError("Too much at once", f"A call may have {LARGEST >> 20} MiB.", "Flush more often.")
            raise RefusedError(413, error)
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ValueError("an object is expected")
    return told


def _error(status: int, error: LabError) -> Response:
    told = {"title": error.title, "message": error.message, "remedy": error.remedy}
    return JSONResponse(told, status)


async def _ready(request: Request) -> Response:
    """Say whether the lab can be used, and nothing else: no sign-in stands before this."""
    try:
        await run_in_threadpool(lambda: DESK.store.catalog.tokens())
    except LabError as error:
        log.warning("Not ready: %s", error)
        return JSONResponse({"ready": False}, 503)
    return JSONResponse({"ready": True})


def _short(base: str) -> Callable[[Request], Any]:
    """Return the endpoint of short links, behind the gate; the view takes its parameters itself."""

    async def endpoint(request: Request) -> Response:
        code = request.path_params["code"]
        try:
            row = await run_in_threadpool(lambda: DESK.store.catalog.saved_view(code))
        except LabError as error:
            return PlainTextResponse(f"{error.message} {error.remedy}", 404)
        return RedirectResponse(f"{base}/{path(row.view)}?saved={row.code}", 303)

    return endpoint


def routes(base_path: str) -> list[Route]:
    """Return the routes, below the path that a reverse proxy serves the lab under."""
    base = "/" + base_path.strip("/") if base_path.strip("/") else ""
    return [
        Route(f"{base}/api/ready", _ready),
        Route(f"{base}/v/{{code:str}}", _short(base)),
        Route(
            f"{base}/api/runs", _answer(lambda token, job, told: DESK.begin(token, told)), methods=["POST"]
        ),
        Route(f"{base}/api/runs/{{job:int}}/rows", _answer(DESK.write), methods=["POST"]),
        Route(f"{base}/api/runs/{{job:int}}/end", _answer(DESK.end), methods=["POST"]),
    ]
