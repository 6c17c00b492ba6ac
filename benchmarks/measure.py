"""Timing and tables for the benchmark programs: figures are compared within one run, never across runs."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


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


def peak_memory(program: str, *arguments: str) -> tuple[float, float]:
    """Run a Python program in its own process.

    Returns:
        (its peak resident memory in MB, its wall time in seconds).
    """
    start = time.perf_counter()
    script = f"{program}\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    scale = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout.split()[-1]) * scale / 1e6, seconds


def own_peak_memory() -> float:
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
