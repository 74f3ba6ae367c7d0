"""A run that logs itself to a lab's server."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

from data.rows import MetricRow
from engine.logging_to import Ended, Row
from engine.server import Server


class ServerSink:
    """Sends one run's rows to a server.

    Args:
        server: the lab's.
        job: of the run, there.
    """

    def __init__(self, server: Server, job: int) -> None:
        self._server, self.job = server, job

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
        server = Server(address, token)
        told = {"study": study, "arm": arm, "seed": seed, "steps": steps, "config": dict(config)}
        return cls(server, int(server.call("/api/runs", told)["job"]))

    def write(self, rows: Sequence[Row], metrics: Sequence[MetricRow]) -> bool:
        """Send rows; see ``Sink``."""
        told = {"rows": [list(row) for row in rows], "metrics": [asdict(metric) for metric in metrics]}
        return bool(self._server.call(f"/api/runs/{self.job}/rows", told)["stop_requested"])

    def end(self, ended: Ended) -> None:
        """Say how the run ended; see ``Sink``."""
        told = ended._asdict() | {"finals": dict(ended.finals)}
        self._server.call(f"/api/runs/{self.job}/end", told)
