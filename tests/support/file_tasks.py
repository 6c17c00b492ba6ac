"""A worker function that needs no encoder: each task writes a file, and some tasks fail."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expclip_cache.base.errors import DataError, LostWorkerError
from expclip_cache.workers.protocols import Worker

START = -1
"""In place of a task: the worker dies before it is ready."""


@dataclass(frozen=True)
class WriteFiles:
    """Writes a file for each task; takes up to two tasks ahead, as decoding does.

    Attributes:
        failures: which tasks fail, and how (a key of `FAILURES`, with " once" if only the first attempt fails).
    """

    folder: Path
    failures: Mapping[int, str] = field(default_factory=dict)
    threads: int = 1
    modules: tuple[str, ...] = ()

    def __call__(self, worker: Worker, device: str) -> None:
        if START in self.failures:
            FAILURES[self.failures[START]]()
        worker.ready(f"a {device}", {"files": "the same"})
        while (task := worker.take(idle=True)) is not None:
            held = [task]
            while held:
                while len(held) < 3 and (more := worker.take(idle=False)) is not None:
                    held.append(more)
                self.do(held.pop(0), worker)

    def do(self, task: int, worker: Worker) -> None:
        worker.advance(task, 1)
        failure = self.failures.get(task, "")
        if failure and not (failure.endswith("once") and self.has_failed(task)):
            FAILURES[failure.split()[0]]()
        (self.folder / f"{task}.{os.getpid()}").touch()
        worker.finished(task, task * task)

    def has_failed(self, task: int) -> bool:
        """Whether the task failed before; from now on it has."""
        flag = self.folder / f"failed-{task}"
        before = flag.exists()
        flag.touch()
        return before


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raise_data_error() -> None:
    raise DataError("image 'a.png' cannot be read. Repair it.")


def raise_lost_worker() -> None:
    raise LostWorkerError("a decoding worker died.")


def raise_bug() -> None:
    raise ZeroDivisionError("a bug")


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def sleep() -> None:
    time.sleep(600)


FAILURES: dict[str, Callable[[], None]] = {
    "die": die,
    "data-error": raise_data_error,
    "lost-worker": raise_lost_worker,
    "bug": raise_bug,
    "sleep": sleep,
    "stop": stop,
}


@dataclass
class Recorder:
    """A listener that records what it is told.

    Attributes:
        steps: of each task, without those of workers that were lost.
    """

    records: dict[int, Any] = field(default_factory=dict)
    steps: Counter[int] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    lost_tasks: list[int] = field(default_factory=list)

    def ready(self, where: str) -> None:
        self.places.append(where)

    def finished(self, task: int, record: Any) -> None:
        self.records[task] = record

    def lost(self, task: int) -> None:
        self.lost_tasks.append(task)
        self.steps.pop(task, None)

    def advance(self, task: int, steps: int) -> None:
        self.steps[task] += steps

    def say(self, line: str) -> None:
        self.lines.append(line)

    def name(self, task: int) -> str:
        return f"task {task}"


def all_done(recorder: Recorder, count: int) -> bool:
    return recorder.records == {k: k * k for k in range(count)} and recorder.steps == dict.fromkeys(range(count), 1)
