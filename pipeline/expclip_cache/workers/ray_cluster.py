"""Run on a Ray cluster: connect to it, and find out how many workers it has room for."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from expclip_cache.base import EncoderError, SettingsError
from expclip_cache.workers.coordinator import Coordinator
from expclip_cache.workers.protocols import Listener, WorkerFunction
from expclip_cache.workers.ray_transport import RayTransport
from expclip_cache.workers.settings import RunSettings

RAY_ENVIRONMENT = {
    # By default Ray would zip the working folder, features included, and send it to every node.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Environment variables for Ray, unless the user has set them."""


def run_on_ray(function: WorkerFunction, tasks: Sequence[int], run: RunSettings, listener: Listener) -> None:
    """Have the tasks done on a Ray cluster.

    This is the cluster at RAY_ADDRESS, one that runs on this machine, or else a new one. A worker that dies is replaced
    as soon as the cluster has room; until then the other workers do its tasks.

    Raises:
        SettingsError: Ray is not installed, or `run.device` is one device of one machine.
        EncoderError: no node has the resources for a worker.
        LostWorkerError, ExpclipError: see `Coordinator.run`; or the mailbox died.
    """
    ray = import_ray()
    if run.device.startswith("cuda:"):
        raise SettingsError(f"run.device: expected auto, cpu or cuda for executor ray, found {run.device!r}.")
    with _connected(ray):
        resources = _resources_of_worker(ray, run.device, function.threads)
        count = min(_count_workers(ray, resources) if run.processes == "auto" else run.processes, len(tasks))
        device = "cuda:0" if resources["num_gpus"] else "cpu"
        Coordinator(tasks, RayTransport(ray, function, resources), listener).run([device] * count)


def import_ray() -> ModuleType:
    """Import Ray, with the environment variables it needs.

    Raises:
        SettingsError: Ray is not installed.
    """
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise SettingsError(
            "run.executor: ray is not installed. Run pip install 'expclip-cache[ray]' on every machine of the cluster, "
            "or set executor: local."
        ) from None
    return ray


@contextmanager
def _connected(ray: ModuleType) -> Iterator[None]:
    """Connect to a cluster for the length of the block; an existing connection is used and left open."""
    if ray.is_initialized():
        yield
        return
    # Ray installs its own handler of SIGTERM; ours is put back.
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _resources_of_worker(ray: ModuleType, device: str, threads: int) -> dict[str, int]:
    """What one worker needs of a node, as options of a Ray actor."""
    if device == "cpu" or (device == "auto" and not ray.cluster_resources().get("GPU")):
        return {"num_cpus": threads, "num_gpus": 0}
    # CPUs are not requested: workers compete for GPUs, and a node has enough CPUs for its GPUs.
    return {"num_cpus": 0, "num_gpus": 1}


def _count_workers(ray: ModuleType, resources: dict[str, int]) -> int:
    """How many workers fit into the cluster.

    Raises:
        EncoderError: none fits on any node.
    """
    kind, needed = ("GPU", resources["num_gpus"]) if resources["num_gpus"] else ("CPU", resources["num_cpus"])
    nodes = [node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]]
    count = sum(int(available // needed) for available in nodes)
    if not count:
        raise EncoderError(
            f"run.executor: no node of the Ray cluster has {needed} {kind} for a worker; its {len(nodes)} nodes have "
            f"{', '.join(f'{available:g}' for available in nodes)}. A worker on CPUs needs as many as this process has "
            "threads, see OMP_NUM_THREADS. If the cluster starts nodes on demand, set run.processes."
        )
    return count
