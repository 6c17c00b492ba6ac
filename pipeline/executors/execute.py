"""Run some work on the executor that the settings name."""

from collections.abc import Callable, Iterable, Sequence

from pipeline.executors.in_process import run_in_process
from pipeline.executors.work import Listener, Work
from pipeline.params import RunParams


def execute(
    work: Work, numbers: Iterable[int], run: RunParams, devices: Callable[[], Sequence[str]], listener: Listener
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
        from pipeline.executors.cluster import run_on_cluster

        run_on_cluster(work, numbers, run, listener)
        return
    places = devices()[: len(numbers)]
    if len(places) == 1:
        run_in_process(work, numbers, places[0], listener)
        return
    from pipeline.executors.processes import run_processes

    run_processes(work, numbers, places, listener)
