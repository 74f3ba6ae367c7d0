"""A Ray cluster of several nodes on this machine."""

from typing import Any

import psutil
import pytest


class Nodes:
    """A head that runs nothing, and nodes that run jobs.

    Args:
        patch: takes back the settings that lead jobs to the cluster.
        count: how many nodes, each of which has one CPU.
    """

    def __init__(self, patch: pytest.MonkeyPatch, count: int) -> None:
        patch.setenv("DETOUR_JOBS_RUNNER", "ray")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else they wait for whoever tests beside
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        patch.setenv("DETOUR_JOBS_RAY_ADDRESS", str(self._cluster.address))
        self._nodes = [self._cluster.add_node(num_cpus=1) for _ in range(count)]

    def kill(self, pid: int) -> None:
        """Kill the node on which a process is."""
        raylet = psutil.Process(pid).parent()
        assert raylet is not None
        node = next(one for one in self._nodes if one.all_processes["raylet"][0].process.pid == raylet.pid)
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End every node."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()
