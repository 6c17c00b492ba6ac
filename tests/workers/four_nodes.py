"""A Ray cluster of four nodes on this machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ray.cluster_utils import Cluster

NODES = 4
LITTLE_MEMORY: dict[str, Any] = {"object_store_memory": 80_000_000}
HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
}
"""Ray notices that a node is gone after two seconds, not after fifteen."""


def for_workers(patch: pytest.MonkeyPatch) -> None:
    """Ray's workers import the worker functions of the tests by name, and compute with one thread."""
    patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    patch.setenv("OMP_NUM_THREADS", "1")
    # Otherwise they wait for whatever else this machine does.
    patch.setenv("RAY_worker_niceness", "0")


@contextmanager
def started_cluster() -> Iterator[Cluster]:
    """Four nodes with one CPU each; the node of this process has none."""
    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, **LITTLE_MEMORY, "_system_config": HEALTH_CHECKS}
    with pytest.MonkeyPatch.context() as patch:
        for_workers(patch)
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(NODES):
            cluster.add_node(wait=False, num_cpus=1, num_gpus=0, **LITTLE_MEMORY)
        cluster.wait_for_nodes(timeout=300)
    yield cluster
    cluster.shutdown()
