"""Timing and tables for the benchmark programs: figures are compared within one run, never across runs."""

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
    """One line of a benchmark.

    Attributes:
        what: measured thing.
        seconds: wall time, or None for a figure that is not a time.
        ratio: to the limit or the peer of the same run.
        wanted: the bound, in words.
        note: units of work, memory, whatever explains the number.
    """

    what: str
    seconds: float | None
    ratio: float | None = None
    wanted: str = ""
    note: str = ""


def timed(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest wall time in seconds of some repeats: the one with the least disturbance."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def timed_in_turn(*works: Callable[[], object], repeats: int = 3) -> list[float]:
    """`timed` of several works that take turns, so that what disturbs one disturbs the others too."""
    rounds = [[timed(work, repeats=1) for work in works] for _ in range(repeats)]
    return [min(times) for times in zip(*rounds, strict=True)]


def show(title: str, figures: list[Figure]) -> None:
    """Print a Markdown table that can be pasted into benchmarks/README.md."""
    print(f"\n### {title}\n\n| what | time | ratio | wanted | note |\n| --- | --- | --- | --- | --- |")
    for figure in figures:
        seconds = "" if figure.seconds is None else f"{figure.seconds:.3g} s"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        print(f"| {figure.what} | {seconds} | {ratio} | {figure.wanted} | {figure.note} |")


@dataclass(frozen=True)
class Peak:
    """The most that a process and all it started had at once; each page counts once, whoever shares it.

    Attributes:
        held: MB of their own (anonymous and shared memory).
        mapped: MB of mapped files at most, which the kernel can take back.
        processes: how many there were at most.
        seconds: wall time.
    """

    held: float
    mapped: float
    processes: int
    seconds: float


def peak_memory(module: str, *arguments: str) -> Peak:
    """Run `python -m module arguments` and look at its proportional set sizes ten times a second (Linux).

    Looking takes the kernel some milliseconds a GB and slows the program down: its time means little.

    Raises:
        SystemExit: it failed.
    """
    start = time.perf_counter()
    run = subprocess.Popen([sys.executable, "-m", module, *arguments])
    held = mapped = processes = 0
    while run.poll() is None:
        sizes = [size for process in _descendants(run.pid) if (size := _proportional_sizes(process))]
        held = max(held, sum(size["Pss_Anon"] + size["Pss_Shmem"] for size in sizes))
        mapped = max(mapped, sum(size["Pss_File"] for size in sizes))
        processes = max(processes, len(sizes))
        time.sleep(0.1)
    if run.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed")
    return Peak(held / 1e6, mapped / 1e6, processes, time.perf_counter() - start)


def _descendants(process: int) -> list[int]:
    """A process and all that it started and that started."""
    found = [process]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in path.read_text().split()]
    return found


def _proportional_sizes(process: int) -> dict[str, int]:
    """Bytes by kind; empty if the process is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}


def own_peak_memory() -> float:
    """Peak resident memory of this process in MB."""
    if sys.platform == "linux":
        # What getrusage says begins with the memory of whoever started this program.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
