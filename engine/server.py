"""A lab's server as programs elsewhere reach it: over HTTP, with a token."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from data.durable import put_in_place, refused
from data.errors import LabError

ATTEMPTS, WAIT_S, TIMEOUT_S = 5, 1.0, 30.0
"""A call that meets no server, or an overburdened one, is made again after 1, 2, 4 and 8 seconds."""


class Server:
    """A lab's server.

    Args:
        address: of the lab, without `/api`.
        token: that it made; None for ``$DETOUR_TOKEN``.

    Raises:
        LabError: there is no token, or it could be read on the way.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address.rstrip("/")
        # A line end within a header would be an error that shows the token.
        self._token = (token or os.environ.get("DETOUR_TOKEN") or "").strip()
        if not self._token:
            raise LabError(
                "A server needs a token",
                f"No token was given for {address}.",
                "Have one made by `python -m engine token --add NAME` there, and set DETOUR_TOKEN to it.",
            )
        if not address.startswith("https://") and not _near(address):
            raise LabError(
                "The address is not encrypted",
                f"A token sent to {address} could be read on the way.",
                "Use https://.",
            )

    def call(self, path: str, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what the server answers, as JSON: to a question, or to something it is told.

        Raises:
            LabError: the server's own, or that there is none.
        """
        content = self._ask(path, told, None)
        try:
            found = json.loads(content)
            if not isinstance(found, dict):
                raise ValueError
        except ValueError as error:
            raise LabError(
                "This is no Detour server",
                f"{self.address} answered something else than JSON.",
                "Check the address; a page to sign in may stand before the server.",
            ) from error
        return found

    def fetch(self, path: str, out: Path) -> None:
        """Write a file of the server's to `out`, whole or not at all.

        Raises:
            LabError: the server's own, that there is none, or that the file cannot be written.
        """
        aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            self._ask(path, None, aside)
            put_in_place(aside, out)
        except OSError as error:
            raise refused(error, "The file", out) from error
        finally:
            aside.unlink(missing_ok=True)

    def _ask(self, path: str, told: Mapping[str, Any] | None, aside: Path | None) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        # NaN and Infinity go by their names, which both ends read.
        content = None if told is None else json.dumps(told).encode()
        request = urllib.request.Request(self.address + path, content, headers)
        for attempt in range(ATTEMPTS):
            try:
                with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                    if aside is None:
                        return bytes(answer.read())
                    with aside.open("wb") as file:
                        while part := answer.read(1 << 20):
                            file.write(part)
                    return b""
            except urllib.error.HTTPError as error:
                if error.code not in (502, 503, 504) or attempt + 1 == ATTEMPTS:
                    raise _refusal(self.address, error) from error
            except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
                if attempt + 1 == ATTEMPTS:
                    raise LabError(
                        "The server does not answer",
                        f"{self.address}: {getattr(error, 'reason', error)}.",
                        "Check the address and the network. What it had acknowledged before is safe there.",
                    ) from error
            time.sleep(WAIT_S * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def is_address(where: str) -> bool:
    """Whether this names a server rather than a folder."""
    return where.startswith(("http://", "https://"))


def _near(address: str) -> bool:
    return urllib.parse.urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token would be sent along, and what is told would not."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, which makes the answer an error."""


_OPENER = urllib.request.build_opener(_Stay)


def _refusal(address: str, error: urllib.error.HTTPError) -> LabError:
    try:
        told = json.loads(error.read())
        return LabError(told["title"], told["message"], told["remedy"])
    except (ValueError, KeyError, TypeError):
        return LabError(
            "The server refused",
            f"{address} answered {error.code} {error.reason}.",
            "Check that the address is that of a Detour server.",
        )
