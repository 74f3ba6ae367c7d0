"""Stands before every route of the server: whoever the lab does not know sees nothing of it."""

import logging
from collections.abc import Iterable
from html import escape
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import encode_provider_token
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import (
    _get_signed_cookie_with_chunks,
    _parse_decoded_user_cookie,
)

from dashboard.access import PUBLIC_COOKIE, guest, sign_in_required, signed_in
from dashboard.api import DESK
from dashboard.links import HOME
from data.errors import LabError
from data.settings import settings

log = logging.getLogger(__name__)

NEXT_COOKIE = "detour_next"
"""Where somebody wanted to go who has to sign in first."""
NEXT_S = 900
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]", "testserver")

# What needs no sign-in: it shows nothing of the lab, or asks for a token itself.
OPEN = ("/api/ready", "/_stcore/health", "/auth/login", "/auth/logout", "/oauth2callback", "/sign-in")
OPEN_BELOW = ("/api/runs", "/api/jobs", "/api/studies", "/public/")
# What a guest may have besides pages: what pages are made of.
GUESTS_BELOW = ("/_stcore/", "/static/", "/media/", "/component/")
GUESTS_NEVER = ("/_stcore/upload_file",)

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'self'",
}


class Gate:
    """ASGI middleware: who comes with a valid cookie passes, others are asked to sign in.

    Where the lab asks for no sign-in it holds requests to the names of this machine, so that no page
    elsewhere can reach it under a name of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        server = settings().server
        self._base = "/" + server.base_path.strip("/") if server.base_path.strip("/") else ""
        public = urlsplit(server.public_url)
        self._origin = f"{public.scheme}://{public.netloc}"
        self._https = public.scheme == "https"
        self._hosts = {*LOCAL_HOSTS, server.host, public.hostname or ""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        answer = await self._checked(connection) or self._home(connection)
        if answer is None:
            await self._app(scope, receive, self._guarded(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, self._guarded(send))

    async def _checked(self, connection: HTTPConnection) -> Response | None:
        """Return the answer to a request that goes no further; None where it may."""
        path = connection.url.path.removeprefix(self._base) or "/"
        if not sign_in_required():
            host = connection.headers.get("host", "")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            return None if name.lower() in self._hosts else _said(421, "This lab has another name.")
        if path == "/sign-in":
            return self._sign_in_page("")
        if path == "/sign-in/go":
            # Made at the click: a provider's token is good for two minutes.
            return RedirectResponse(
                f"{self._base}/auth/login?provider={encode_provider_token('default')}", 303
            )
        if path in OPEN or path.startswith(OPEN_BELOW):
            return await self._opened(connection, path) if path.startswith("/public/") else None
        claims = self._claims(connection)
        if claims is not None:
            try:
                await run_in_threadpool(signed_in, DESK.store, claims)
            except LabError as error:
                return self._sign_in_page(str(error), 403)
            return self._onward(connection, path)
        if key := connection.cookies.get(PUBLIC_COOKIE):
            page = not path.startswith(GUESTS_BELOW) or path.startswith("/_stcore/stream")
            if (page or path.startswith(GUESTS_BELOW)) and not path.startswith(GUESTS_NEVER):
                try:
                    await run_in_threadpool(guest, DESK.store, key)
                    return None
                except LabError:
                    log.info("A public link that is no more was used.")
        if connection.scope["type"] == "http" and _wants_page(connection):
            response = RedirectResponse(f"{self._base}/sign-in", 303)
            wanted = path + (f"?{connection.url.query}" if connection.url.query else "")
            self._set(response, NEXT_COOKIE, wanted, NEXT_S)
            return response
        return _said(401, "Sign in to this lab first.")

    def _home(self, connection: HTTPConnection) -> Response | None:
        """Lead who asks for the first view by its name to the lab's own address, where Streamlit has it."""
        if connection.scope["type"] != "http" or connection.url.path != f"{self._base}/{HOME}":
            return None
        query = f"?{connection.url.query}" if connection.url.query else ""
        return RedirectResponse(f"{self._base}/{query}", 307)

    def _claims(self, connection: HTTPConnection) -> dict[str, Any] | None:
        """Return what the provider said of whoever holds this cookie; None without a valid one."""
        content = _get_signed_cookie_with_chunks(connection.cookies, USER_COOKIE_NAME)
        told = _parse_decoded_user_cookie(content, self._origin) if content else {}
        return told if told.get("is_logged_in") else None

    def _onward(self, connection: HTTPConnection, path: str) -> Response | None:
        """Lead who has just signed in to where they wanted to go: Streamlit leads everybody home."""
        wanted = connection.cookies.get(NEXT_COOKIE)
        if wanted is None or path != "/" or connection.scope["type"] != "http" or connection.url.query:
            return None
        response = RedirectResponse(self._base + (wanted if _is_page(wanted) else "/"), 303)
        response.delete_cookie(NEXT_COOKIE, path=self._base or "/")
        return response

    async def _opened(self, connection: HTTPConnection, path: str) -> Response:
        """Let somebody in by a public link: to its view, and to nothing else."""
        key = path.removeprefix("/public/")
        try:
            view = await run_in_threadpool(DESK.store.machine.catalog.public_view, key)
        except LabError as error:
            return self._sign_in_page(str(error), 404)
        # The only page that a guest has stands at the lab's own address.
        response = RedirectResponse(f"{self._base}/?saved={view.code}", 303)
        self._set(response, PUBLIC_COOKIE, key, 24 * 3600)
        return response

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        path = self._base or "/"
        response.set_cookie(name, value, max_age=seconds, path=path, httponly=True, samesite="lax")

    def _sign_in_page(self, why: str, status: int = 200) -> Response:
        provider = urlsplit(settings().sign_in.metadata_url).hostname or ""
        told = f"<p role='alert'>{escape(why)}</p>" if why else ""
        other = (
            f"<a class='quiet' href='{self._base}/auth/logout'>Sign in as somebody else</a>" if why else ""
        )
        page = _PAGE.format(base=self._base, provider=escape(provider), told=told, other=other)
        return HTMLResponse(page, status, {"Cache-Control": "no-store"})

    def _guarded(self, send: Send) -> Send:
        """Add to every answer what browsers keep people safe by."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE.items():
                    headers.setdefault(name, value)
                if self._https:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                    message["headers"] = list(_secure(message["headers"]))
            await send(message)

        return guarded


def _secure(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """Let cookies of a lab that is reached by TLS travel by TLS only."""
    for name, value in headers:
        if name.lower() == b"set-cookie" and b"secure" not in value.lower().split(b"; "):
            value += b"; Secure"
        yield name, value


def _wants_page(connection: HTTPConnection) -> bool:
    asks = connection.scope["method"] in ("GET", "HEAD")
    return asks and "text/html" in connection.headers.get("accept", "")


def _is_page(path: str) -> bool:
    """Whether a path leads to this lab, and not to a server that its text names."""
    return path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()


def _said(status: int, message: str) -> Response:
    return JSONResponse(
        {"title": "Not allowed", "message": message, "remedy": "Open the lab in a browser."}, status
    )


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in to Detour</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid;
  place-items: center; background: #fff; color: #1b212b; }}
main {{ max-width: 26rem; padding: 2rem; }}
h1 {{ font-size: 1.75rem; margin: 0 0 .25rem; }}
p {{ margin: .5rem 0 1.25rem; }}
p[role=alert] {{ border-left: 3px solid #b3372b; padding-left: .75rem; }}
a.button {{ display: inline-block; padding: .5rem 1rem; border-radius: 6px; background: #3a4a68; color: #fff;
  text-decoration: none; }}
a.quiet {{ margin-left: 1rem; color: #2a5c99; }}
a:focus-visible {{ outline: 3px solid #6e88b5; outline-offset: 2px; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #12161c; color: #e4e8ee; }} a.button {{ background: #6e88b5; color: #10141a; }}
  a.quiet {{ color: #8db8ee; }} p[role=alert] {{ border-color: #f08a7d; }}
}}
</style>
</head>
<body>
<main>
<h1>Detour</h1>
<p>A lab for training dynamics. You come back to where you were going.</p>
{told}
<a class="button" href="{base}/sign-in/go">Sign in with {provider}</a>{other}
</main>
</body>
</html>
"""
