"""What the web server runs: the app, the routes that programs call, and the gate before both."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from dashboard.access import sign_in_required
from dashboard.api import DESK, routes
from dashboard.api_jobs import job_routes
from dashboard.gate import Gate
from dashboard.views import views
from data.errors import LabError
from data.settings import settings

_LOOK_S = 0.5
_COLLECT_S = 30.0


def _require_guarded() -> None:
    """Refuse to listen where others reach the lab unless it asks people to sign in.

    Raises:
        LabError: it listens on another address than this machine's own, without a sign-in.
    """
    address = str(config.get_option("server.address") or "")
    try:
        private = address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        private = False
    if not private and not sign_in_required():
        raise LabError(
            "Not without a sign-in",
            f"On `{address or 'every address'}` whoever reaches this machine could change and delete.",
            "Set `sign_in.metadata_url` and its neighbours (docs/running-a-lab.md), or listen on 127.0.0.1.",
        )


def _secrets() -> dict[str, Any]:
    """Return what Streamlit's sign-in needs to know; nothing where nobody signs in.

    Raises:
        LabError: something of it is not set.
    """
    asked, public = settings().sign_in, settings().server.public_url.rstrip("/")
    if not asked.metadata_url:
        return {}
    told = {
        "server.public_url": public,
        "sign_in.client_id": asked.client_id,
        "sign_in.client_secret": asked.client_secret,
        "sign_in.cookie_secret": str(config.get_option("server.cookieSecret")),
    }
    if missing := [name for name, value in told.items() if not value]:
        raise LabError(
            "The sign-in is not set up",
            f"`{missing[0]}` is not set.",
            "See docs/running-a-lab.md; `python -m engine config` shows what is set.",
        )
    return {
        "auth": {
            "redirect_uri": f"{public}/oauth2callback",
            "cookie_secret": told["sign_in.cookie_secret"],
            "client_id": asked.client_id,
            "client_secret": asked.client_secret,
            "server_metadata_url": asked.metadata_url,
        }
    }


@asynccontextmanager
async def _lifespan(app: st.App) -> AsyncIterator[None]:
    views()
    tasks = [asyncio.create_task(_collect_garbage()), asyncio.create_task(_end_with_parent())]
    yield
    for task in tasks:
        task.cancel()
    DESK.close()


async def _collect_garbage() -> None:
    """Look through all objects twice a minute, so that Streamlit looks at new ones after a page.

    What is loaded and kept, a quarter of a million objects, took half of the time of a plain page otherwise.
    """
    while True:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        await asyncio.sleep(_COLLECT_S)


async def _end_with_parent() -> None:
    """End when the process that began this one was killed: it would hold the port for ever."""
    parent = os.environ.get("DETOUR_PARENT")
    while parent is None or os.getppid() == int(parent):
        await asyncio.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


_require_guarded()
app = st.App(
    Path(__file__).with_name("app.py"),
    secrets=_secrets() or None,
    routes=[*routes(settings().server.base_path), *job_routes(settings().server.base_path)],
    middleware=[Middleware(Gate)],
    lifespan=_lifespan,
)
