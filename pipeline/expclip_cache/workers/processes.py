"""Several processes of this machine, one for each device: the driver waits on their pipes and on their ends."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from expclip_cache.base import STOPS, ExpclipError, LostWorkerError, live_no_longer_than
from expclip_cache.workers.plan import Plan, refuse_more_deaths
from expclip_cache.workers.protocols import Facts, Listener, Record, Work

GRACE_SECONDS = 5.0
"""How long a worker that is asked to end may take before it is killed."""


def run_processes(work: Work, numbers: Sequence[int], devices: Sequence[str], listener: Listener) -> None:
    """Do the work in one process for each device; a process that dies is replaced.

    However this ends, no worker outlives it.

    Raises:
        LostWorkerError: several workers in a row died over the same number, or before they took one.
        ExpclipError: whatever a worker raised.
    """
    driver = _Driver(work, numbers, listener)
    try:
        for device in devices:
            driver.start(device)
        while not driver.plan.done:
            driver.listen()
        driver.dismiss()
    finally:
        driver.end()


@dataclass
class _Hired:
    """A worker, as the driver sees it."""

    name: str
    device: str
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    waits: bool = False
    last_words: str = ""


class _Driver:
    """Keeps the plan, answers the workers, replaces the dead."""

    def __init__(self, work: Work, numbers: Sequence[int], listener: Listener):
        self.plan = Plan(numbers)
        self._work, self._listener = work, listener
        self._context = multiprocessing.get_context("spawn")
        self._hired: dict[str, _Hired] = {}
        self._started = 0
        self._first: tuple[Facts] | None = None

    def start(self, device: str) -> None:
        """Start one worker on a device."""
        self._started += 1
        ours, theirs = self._context.Pipe()
        name = f"worker {self._started}"
        process = self._context.Process(target=_be_worker, args=(self._work, device, theirs, os.getpid()), name=name)
        # A worker that is still importing would meet Ctrl-C with a traceback; it unblocks the signals itself.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            process.start()
            self._hired[name] = _Hired(name, device, process, ours)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()

    def listen(self, seconds: float | None = None) -> None:
        """Wait for the next messages, so long at most, and act on them."""
        by_pipe = {hired.pipe: hired for hired in self._hired.values()}
        for pipe in wait(list(by_pipe), seconds):
            hired = by_pipe[pipe]
            try:
                kind, *content = pipe.recv()
            except (EOFError, OSError):
                self._bury(hired)
            else:
                self._act(hired, kind, *content)

    def dismiss(self) -> None:
        """Tell the workers that all is done, and see them off; whoever is still getting ready is too late."""
        for hired in self._hired.values():
            if hired.waits:
                self._serve(hired, True)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(hired.ready for hired in self._hired.values()) and (left := deadline - time.monotonic()) > 0:
            self.listen(left)

    def end(self) -> None:
        """End all workers: gently, so that they end their own, and then for certain."""
        for hired in self._hired.values():
            hired.process.terminate()
        for hired in self._hired.values():
            hired.process.join(GRACE_SECONDS)
            hired.process.kill()
            hired.process.join()
            hired.pipe.close()

    def _act(self, hired: _Hired, kind: str, *content) -> None:
        if kind == "ready":
            where, facts = content
            hired.ready = True
            if self._first is None:
                self._first = (facts,)
                count = len(self._hired)
                self._listener.ready(where if count == 1 else f"{count} processes, the first on {where}")
            self._answer(hired, self._first[0])
        elif kind == "take":
            self._serve(hired, *content)
        elif kind == "finished":
            number, record = content
            self.plan.finish(number)
            self._listener.finished(number, record)
        elif kind == "advance":
            self._listener.advance(*content)
        elif kind == "say":
            self._listener.say(*content)
        elif kind == "lost":
            (hired.last_words,) = content
        elif kind == "failed":
            raise content[0]

    def _serve(self, hired: _Hired, fresh: bool) -> None:
        number = self.plan.take(hired.name, fresh=fresh)
        hired.waits = fresh and number is None and not self.plan.done
        if not hired.waits:
            self._answer(hired, number)

    def _answer(self, hired: _Hired, answer: object) -> None:
        # One that has just died is noticed by its silence, in `listen`.
        with suppress(OSError):
            hired.pipe.send(answer)

    def _bury(self, hired: _Hired) -> None:
        """Take back what a dead worker held, and put another in its place."""
        hired.process.join()
        hired.pipe.close()
        del self._hired[hired.name]
        if self.plan.done:
            return
        for number in self.plan.lose(hired.name):
            self._listener.lost(number)
        how = hired.last_words or f"{hired.name} on {hired.device} died ({_ending(hired.process.exitcode)})."
        guilty = self.plan.guilty
        refuse_more_deaths(None if guilty is None else self._listener.name(guilty), self.plan.starts_in_vain, how)
        self._listener.say(f"{how} Another takes its place.")
        self.start(hired.device)
        for waiting in [waiting for waiting in self._hired.values() if waiting.waits]:
            self._serve(waiting, True)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _be_worker(work: Work, device: str, pipe: Connection, driver: int) -> None:
    """The life of a worker process."""
    # SIGTERM is how the driver ends us.
    signal.signal(signal.SIGTERM, _leave)
    live_no_longer_than(driver)
    there = _Driven(pipe)
    try:
        work(there, device)
    except LostWorkerError as error:
        there.send("lost", str(error))
        raise SystemExit(1) from None
    except ExpclipError as error:
        there.send("failed", error)
    except Exception:  # noqa: BLE001 - it is not handled here but told where it can be seen
        there.send("failed", RuntimeError(f"a worker on {device} failed:\n{traceback.format_exc()}"))


def _leave(*_: object) -> None:
    raise SystemExit(143)


class _Driven:
    """The `Worker` of a process: the driver at the other end of a pipe."""

    apart = True

    def __init__(self, pipe: Connection):
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, *message: object) -> None:
        with self._lock:
            self._pipe.send(message)

    def ready(self, where: str, facts: Facts = None) -> Facts:
        self.send("ready", where, facts)
        return self._pipe.recv()

    def take(self, *, fresh: bool) -> int | None:
        self.send("take", fresh)
        return self._pipe.recv()

    def finished(self, number: int, record: Record) -> None:
        self.send("finished", number, record)

    def advance(self, number: int, steps: int) -> None:
        self.send("advance", number, steps)

    def say(self, line: str) -> None:
        self.send("say", line)
