"""Run some work on the executor that the settings name."""

from collections.abc import Callable, Iterable, Sequence

from expclip_cache.workers.in_process import run_in_process
from expclip_cache.workers.protocols import Listener, Work
from expclip_cache.workers.settings import RunSettings


def execute(
    work: Work, numbers: Iterable[int], run: RunSettings, devices: Callable[[], Sequence[str]], listener: Listener
) -> None:
    """Have all numbers done, by as many workers as `run` says.

    Args:
        devices: gives the device of each local process; called only where they are local.

    Raises:
        LostWorkerError: several workers in a row died over the same number.
        ExpclipError: whatever a worker raised; what was finished is kept.
    """
    numbers = list(numbers)
    if run.executor == "ray":
        from expclip_cache.workers.ray_cluster import run_on_cluster

        run_on_cluster(work, numbers, run, listener)
        return
    places = devices()[: len(numbers)]
    if len(places) == 1:
        run_in_process(work, numbers, places[0], listener)
        return
    from expclip_cache.workers.processes import run_processes

    run_processes(work, numbers, places, listener)
