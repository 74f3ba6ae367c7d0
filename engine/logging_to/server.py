"""A run that logs itself to a lab's server, over HTTP with a token."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http.client import HTTPException
from typing import Any, Self
from urllib.parse import urlsplit

from data.errors import LabError
from data.rows import MetricRow
from engine.logging_to import Ended, Row

ATTEMPTS, WAIT_S, TIMEOUT_S = 5, 1.0, 30.0
"""A call that meets no server, or an overburdened one, is made again after 1, 2, 4 and 8 seconds."""


class ServerSink:
    """Sends one run's rows to a server.

    Args:
        address: of the server.
        token: that it made.
        job: of the run, there.
    """

    def __init__(self, address: str, token: str, job: int) -> None:
        self._address, self._token, self.job = address, token, job

    @classmethod
    def begin(
        cls,
        address: str,
        token: str | None,
        study: str,
        arm: str,
        seed: int,
        steps: int,
        config: Mapping[str, Any],
    ) -> Self:
        """Begin a run there.

        Raises:
            LabError: no token, no server, or the server refuses.
        """
        # A line end within a header would be an error that shows the token.
        token = (token or os.environ.get("DETOUR_TOKEN") or "").strip()
        if not token:
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
        told = {"study": study, "arm": arm, "seed": seed, "steps": steps, "config": dict(config)}
        found = _call(address.rstrip("/"), token, "/api/runs", told)
        return cls(address.rstrip("/"), token, int(found["job"]))

    def write(self, rows: Sequence[Row], metrics: Sequence[MetricRow]) -> bool:
        """Send rows; see ``Sink``."""
        told = {"rows": [list(row) for row in rows], "metrics": [asdict(metric) for metric in metrics]}
        return bool(_call(self._address, self._token, f"/api/runs/{self.job}/rows", told)["stop_requested"])

    def end(self, ended: Ended) -> None:
        """Say how the run ended; see ``Sink``."""
        told = ended._asdict() | {"finals": dict(ended.finals)}
        _call(self._address, self._token, f"/api/runs/{self.job}/end", told)


def _near(address: str) -> bool:
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token would be sent along, and the rows would not."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, which makes the answer an error."""


_OPENER = urllib.request.build_opener(_Stay)


def _call(address: str, token: str, path: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Post JSON and return what comes back.

    Raises:
        LabError: the server's own, or that there is none.
    """
    request = urllib.request.Request(
        address + path,
        json.dumps(told).encode(),  # NaN and Infinity by their names, which both ends read
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    for attempt in range(ATTEMPTS):
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                found = json.load(answer)
                if not isinstance(found, dict):
                    raise ValueError
                return found
        except ValueError as error:
            raise LabError(
                "This is no Detour server",
                f"{address} answered something else than JSON.",
                "Check the address; a page to sign in may stand before the server.",
            ) from error
        except urllib.error.HTTPError as error:
            if error.code not in (502, 503, 504) or attempt + 1 == ATTEMPTS:
                raise _refusal(address, error) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            if attempt + 1 == ATTEMPTS:
                raise LabError(
                    "The server does not answer",
                    f"{address}: {getattr(error, 'reason', error)}.",
                    "Check the address and the network. Rows that were flushed before are safe there.",
                ) from error
        time.sleep(WAIT_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


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
