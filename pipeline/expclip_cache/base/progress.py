"""Messages and progress bars of long operations, independent of who displays them."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from expclip_cache.base.printable import printable


class Bar(Protocol):
    """A progress bar."""

    def advance(self, steps: int, /) -> None:
        """Count `steps` more; negative if work was lost."""


@dataclass(frozen=True)
class FinishedBar:
    """A bar that reached its end: `count` things, each a `unit`, in `seconds`."""

    title: str
    count: int
    unit: str
    seconds: float


class Says(Protocol):
    """Anything that passes messages on to the user: a `Reporter`, or the `Worker` of a task."""

    def say(self, line: str, /) -> None:
        """Show one line to the user."""


class Reporter(Says, Protocol):
    """Shows messages and progress to the user."""

    def bar(self, title: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A progress bar for the length of a block, with rate, elapsed time and remaining time."""
        ...


class _TqdmBar:
    def __init__(self, bar: "tqdm[Any]"):
        self._bar = bar

    def advance(self, steps: int) -> None:
        self._bar.update(steps)


class TerminalReporter:
    """Bars and lines on standard error; in a log file a bar prints one line every ten seconds.

    Attributes:
        done: the bars that reached their end.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self.done: list[FinishedBar] = []

    def say(self, line: str) -> None:
        """Print one line above the running bar."""
        tqdm.write(printable(line), file=self._stream)

    @contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Bar]:
        """Show a bar with its rate and remaining time."""
        interval, start = 0.1 if self._stream.isatty() else 10.0, time.perf_counter()
        with tqdm(
            total=total,
            desc=printable(title),
            unit=f" {unit}s",
            file=self._stream,
            mininterval=interval,
            dynamic_ncols=True,
        ) as bar:
            yield _TqdmBar(bar)
        self.done.append(FinishedBar(title, total, unit, round(time.perf_counter() - start, 2)))


class SilentReporter:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """Drop the line."""

    @contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Bar]:
        """Count without showing anything."""
        with tqdm(total=total, disable=True) as bar:
            yield _TqdmBar(bar)
