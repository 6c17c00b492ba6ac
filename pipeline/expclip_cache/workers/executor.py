"""Choose the executor that the settings name."""

from collections.abc import Callable, Iterable, Sequence

from expclip_cache.workers.in_process import run_in_process
from expclip_cache.workers.protocols import Listener, WorkerFunction
from expclip_cache.workers.settings import RunSettings


def execute(
    function: WorkerFunction,
    tasks: Iterable[int],
    run: RunSettings,
    devices: Callable[[], Sequence[str]],
    listener: Listener,
) -> None:
    """Do all tasks with as many workers as `run` says.

    Args:
        devices: gives the device of each local process; called only if the executor is `local`.

    Raises:
        LostWorkerError: workers died repeatedly over the same task, or before they took one.
        ExpclipError: any error of a worker; finished work is kept.
    """
    tasks = list(tasks)
    if run.executor == "ray":
        from expclip_cache.workers.ray_cluster import run_on_ray

        run_on_ray(function, tasks, run, listener)
        return
    local = devices()[: len(tasks)]
    if len(local) == 1:
        run_in_process(function, tasks, local[0], listener)
        return
    from expclip_cache.workers.processes import run_in_processes

    run_in_processes(function, tasks, local, listener)
