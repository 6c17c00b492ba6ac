"""Timing, memory and tables for the benchmarks. Figures are compared within a run, never across runs."""

import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One line of a table.

    Attributes:
        what: what was measured.
        seconds: wall time; None for a figure that is not a time.
        ratio: to the limit or the peer, measured in the same run.
        wanted: the target, in words.
        note: anything that explains the number, such as a rate or memory.
    """

    what: str
    seconds: float | None
    ratio: float | None = None
    wanted: str = ""
    note: str = ""


def timed(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest wall time of several repeats, in seconds: the one that was disturbed least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def timed_in_turn(*works: Callable[[], object], repeats: int = 3) -> list[float]:
    """`timed` for several functions in turn, so that what disturbs one of them disturbs the others too."""
    return [min(times) for times in times_in_turn(*works, repeats=repeats)]


def times_in_turn(
    *works: Callable[[], object], before: Callable[[int], None] = lambda _: None, repeats: int = 3
) -> list[list[float]]:
    """All wall times of several functions in turn, in seconds: one list for each function, with one time a round.

    Args:
        before: called with the number of the function before each call; not timed.
    """
    found: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for number, work in enumerate(works):
            before(number)
            found[number].append(timed(work, repeats=1))
    return found


def show(title: str, figures: list[Figure]) -> None:
    """Print a Markdown table, to be pasted into benchmarks/README.md."""
    print(f"\n### {title}\n\n| what | time | ratio | wanted | note |\n| --- | --- | --- | --- | --- |")
    for figure in figures:
        seconds = "" if figure.seconds is None else f"{figure.seconds:.3g} s"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        print(f"| {figure.what} | {seconds} | {ratio} | {figure.wanted} | {figure.note} |")


@dataclass(frozen=True)
class Peak:
    """The peak memory of a process and all its descendants; a page that they share counts once.

    Attributes:
        held: MB of their own (anonymous and shared memory).
        mapped: MB of mapped files, which the kernel can reclaim.
        processes: the largest number of processes at a time.
        seconds: wall time.
    """

    held: float
    mapped: float
    processes: int
    seconds: float


def peak_memory(module: str, *arguments: str) -> Peak:
    """Run `python -m module arguments` and sample its proportional set sizes ten times a second (Linux).

    A sample takes the kernel some milliseconds per GB and slows the program down, so its time means little.

    Raises:
        SystemExit: the program failed.
    """
    start = time.perf_counter()
    run = subprocess.Popen([sys.executable, "-m", module, *arguments])
    held = mapped = processes = 0
    while run.poll() is None:
        sizes = [size for process in _family(run.pid) if (size := _proportional_sizes(process))]
        held = max(held, sum(size["Pss_Anon"] + size["Pss_Shmem"] for size in sizes))
        mapped = max(mapped, sum(size["Pss_File"] for size in sizes))
        processes = max(processes, len(sizes))
        time.sleep(0.1)
    if run.returncode:
        raise SystemExit(f"python -m {module} {' '.join(arguments)} failed with exit code {run.returncode}")
    return Peak(held / 1e6, mapped / 1e6, processes, time.perf_counter() - start)


def _family(process: int) -> list[int]:
    """A process and all its descendants."""
    found = [process]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in path.read_text().split()]
    return found


def _proportional_sizes(process: int) -> dict[str, int]:
    """Bytes by kind; empty if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}


def own_peak_memory() -> float:
    """Peak resident memory of this process in MB."""
    if sys.platform == "linux":
        # getrusage would include the memory of the parent, before this program replaced it.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
