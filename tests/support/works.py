"""Work for the executors that needs no encoder: each number is a file to write, and some numbers are trouble."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from expclip_cache.base.errors import DataError, LostWorkerError


@dataclass(frozen=True)
class WriteFiles:
    """Notes each number in a file of the folder; takes up to two numbers ahead, as decoding does.

    Attributes:
        trouble: what happens at a number, by name; `once` in the name: only the first time.
    """

    folder: Path
    trouble: dict[int, str] = field(default_factory=dict)
    threads: int = 1

    def __call__(self, worker, device):
        if "start" in self.trouble:
            os.kill(os.getpid(), signal.SIGKILL)
        worker.ready(f"a {device}", {"files": "the same"})
        while (number := worker.take(fresh=True)) is not None:
            ahead = [number]
            while ahead:
                while len(ahead) < 3 and (more := worker.take(fresh=False)) is not None:
                    ahead.append(more)
                self.do(ahead.pop(0), worker)

    def do(self, number, worker):
        worker.advance(number, 1)
        trouble = self.trouble.get(number, "")
        if trouble and not (trouble.endswith("once") and self.happened(number)):
            TROUBLES[trouble.split()[0]]()
        (self.folder / f"{number}.{os.getpid()}").touch()
        worker.finished(number, number * number)

    def happened(self, number):
        """Whether it happened before; it counts as having happened from now on."""
        flag = self.folder / f"trouble-{number}"
        before = flag.exists()
        flag.touch()
        return before


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def refuses():
    raise DataError("picture 'a.png' cannot be read. Mend it.")


def loses():
    raise LostWorkerError("a decoding worker died.")


def stumbles():
    raise ZeroDivisionError("a bug")


def sleeps():
    time.sleep(600)


TROUBLES: dict[str, Callable] = {
    "dies": dies,
    "refuses": refuses,
    "loses": loses,
    "stumbles": stumbles,
    "sleeps": sleeps,
}


@dataclass
class Heard:
    """A listener that remembers."""

    records: dict = field(default_factory=dict)
    steps: dict = field(default_factory=dict)
    places: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    gone: list = field(default_factory=list)

    def ready(self, where):
        self.places.append(where)

    def finished(self, number, record):
        self.records[number] = record

    def lost(self, number):
        self.gone.append(number)
        self.steps.pop(number, None)

    def advance(self, number, steps):
        self.steps[number] = self.steps.get(number, 0) + steps

    def say(self, line):
        self.lines.append(line)

    def name(self, number):
        return f"number {number}"


def all_done(heard: Heard, count: int) -> bool:
    return heard.records == {k: k * k for k in range(count)} and heard.steps == dict.fromkeys(range(count), 1)
