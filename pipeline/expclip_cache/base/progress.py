"""Words and progress bars for long work: what the library says, whoever shows it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TextIO

from tqdm import tqdm


class Bar(Protocol):
    """A running count."""

    def advance(self, steps: int) -> None:
        """Say that `steps` more are done."""


@dataclass(frozen=True)
class Work:
    """A bar that ran to its end: `count` things, each a `unit`, in so many seconds."""

    title: str
    count: int
    unit: str
    seconds: float


class Reporter(Protocol):
    """Where messages and progress go."""

    def say(self, line: str) -> None:
        """One line for the user."""

    def bar(self, title: str, total: int, unit: str):
        """A context manager that gives a `Bar`; shows rate, time passed and time left."""


class _TqdmBar:
    def __init__(self, bar: tqdm):
        self._bar = bar

    def advance(self, steps: int) -> None:
        self._bar.update(steps)


class TerminalReporter:
    """Bars and lines on standard error; in a log file a bar is a line every ten seconds.

    Attributes:
        done: the bars that ran to their end.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self.done: list[Work] = []

    def say(self, line: str) -> None:
        """Print one line above any running bar."""
        tqdm.write(line, file=self._stream)

    @contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Bar]:
        """Show a bar with rate and time left."""
        interval, start = 0.1 if self._stream.isatty() else 10.0, time.perf_counter()
        with tqdm(
            total=total,
            desc=title,
            unit=f" {unit}s",
            file=self._stream,
            mininterval=interval,
            dynamic_ncols=True,
        ) as bar:
            yield _TqdmBar(bar)
        self.done.append(Work(title, total, unit, round(time.perf_counter() - start, 2)))


class SilentReporter:
    """Says nothing."""

    def say(self, line: str) -> None:
        """Drop the line."""

    @contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Bar]:
        """Count for nobody."""
        with tqdm(total=total, disable=True) as bar:
            yield _TqdmBar(bar)
