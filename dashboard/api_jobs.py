"""What the client and the command line ask of a hosted lab: its studies, its jobs, its rows."""

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from dashboard import api
from dashboard.api import answered, bearer, body
from data.errors import LabError
from data.store import Store
from engine.jobs import queue
from engine.jobs.described import job_told, jobs_told, studies_told
from engine.jobs.request import request as training
from engine.jobs.splitting import split

SUFFIXES = (".parquet", ".csv", ".duckdb")

Told = dict[str, Any]


def _train(store: Store, path: Told, told: Told) -> Told:
    """Queue a training, or several that share one study's seeds."""
    wanted = training(
        str(told["study"]),
        {str(key): str(value) for key, value in dict(told.get("settings") or {}).items()},
        [str(arm) for arm in told["arms"]] if told.get("arms") else None,
        str(told["seeds"]) if told.get("seeds") else None,
        str(told.get("device") or "auto"),
        stack=int(told.get("stack") or 0),
    )
    parts = split(wanted, int(told["split"])) if told.get("split") else [wanted]
    queue.reap(api.DESK.store)
    numbers = [queue.submit_training(store, part) for part in parts]
    return {"jobs": [job_told(store, number) for number in numbers]}


def _stop(store: Store, path: Told, told: Told) -> Told:
    queue.stop(store, path["job"])
    return job_told(store, path["job"])


def _resume(store: Store, path: Told, told: Told) -> Told:
    queue.resume(store, path["job"])
    return job_told(store, path["job"])


def _asked(work: Callable[[Store, Told], Told]) -> Callable[[Request], Any]:
    """Return an endpoint that answers a question of whoever holds a token that reads."""

    async def endpoint(request: Request) -> Response:
        store = await run_in_threadpool(bearer, request, "read", "run")
        return JSONResponse(await run_in_threadpool(work, store, request.path_params))

    return answered(endpoint)


def _done(work: Callable[[Store, Told, Told], Told]) -> Callable[[Request], Any]:
    """Return an endpoint that does something for whoever holds a token that runs."""

    async def endpoint(request: Request) -> Response:
        store = await run_in_threadpool(bearer, request, "run")
        told = await body(request)
        return JSONResponse(await run_in_threadpool(work, store, request.path_params, told))

    return answered(endpoint)


async def _rows(request: Request) -> Response:
    """Send all rows of a study as a file."""
    store = await run_in_threadpool(bearer, request, "read", "run")
    study, suffix = request.path_params["study"], f".{request.path_params['kind']}"
    if suffix not in SUFFIXES:
        raise LabError("Unknown format", f"`{suffix}` is none of {', '.join(SUFFIXES)}.", "Ask for one.")
    handle, name = tempfile.mkstemp(suffix, "detour-export-")
    os.close(handle)
    path = Path(name)
    with ExitStack() as unfinished:
        unfinished.callback(path.unlink, missing_ok=True)
        await run_in_threadpool(store.catalog.study, study)
        await run_in_threadpool(store.traces.export, study, path)
        unfinished.pop_all()
    return FileResponse(path, background=BackgroundTask(path.unlink, missing_ok=True))


def job_routes(base_path: str) -> list[Route]:
    """Return the routes, below the path that a reverse proxy serves the lab under."""
    base = "/" + base_path.strip("/") if base_path.strip("/") else ""
    return [
        Route(f"{base}/api/studies", _asked(lambda store, path: studies_told(store))),
        Route(f"{base}/api/studies/{{study:path}}/rows.{{kind}}", answered(_rows)),
        Route(f"{base}/api/jobs", _asked(lambda store, path: {"jobs": jobs_told(store)})),
        Route(f"{base}/api/jobs", _done(_train), methods=["POST"]),
        Route(f"{base}/api/jobs/{{job:int}}", _asked(lambda store, path: job_told(store, path["job"]))),
        Route(f"{base}/api/jobs/{{job:int}}/stop", _done(_stop), methods=["POST"]),
        Route(f"{base}/api/jobs/{{job:int}}/resume", _done(_resume), methods=["POST"]),
    ]
