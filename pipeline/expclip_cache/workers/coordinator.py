"""Hand out tasks to workers in other processes and replace workers that die, whatever connects them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from expclip_cache.base import LostWorkerError
from expclip_cache.workers.protocols import Listener
from expclip_cache.workers.task_queue import MAX_DEATHS, TaskQueue

Messages = list[tuple[str, tuple[Any, ...]]]
"""Names of workers with their messages, in the order in which each worker sent them.

A message is the name of a method of `Worker` with its arguments; `("lost", reason)` or `("failed", error)` if the
worker stops with this error; or `("ended", how)`, which is the last message of a worker.
"""

POLL_SECONDS = 1.0
"""Longest wait for messages; a transport may use the time between two waits for checks of its own."""

GRACE_SECONDS = 5.0
"""Time that workers get to exit by themselves when all tasks are finished."""


class Transport(Protocol):
    """Starts and stops workers, and carries their messages.

    Attributes:
        workers: what the workers are, in the plural.
        replacement: a sentence that says that a dead worker is replaced.
    """

    workers: str
    replacement: str

    def start(self, worker: str, device: str) -> None:
        """Start a worker under a name that was not used before."""

    def receive(self, seconds: float) -> Messages:
        """Wait at most `seconds` for messages."""
        ...

    def reply(self, worker: str, answer: object) -> None:
        """Answer a worker that waits in `ready` or `take`; does nothing if it is gone."""

    def stop(self) -> None:
        """End all workers; none is left when this returns."""


@dataclass
class _WorkerState:
    """What the coordinator knows about a live worker.

    Attributes:
        waiting: it asked for a task and has no answer yet.
        lost: the reason, if it reported that a process it depends on died.
    """

    device: str
    ready: bool = False
    waiting: bool = False
    lost: str = ""


class Coordinator:
    """Answers the workers, tells the listener what happened, and reaps and replaces dead workers."""

    def __init__(self, tasks: Iterable[int], transport: Transport, listener: Listener):
        self._queue = TaskQueue(tasks)
        self._transport, self._listener = transport, listener
        self._workers: dict[str, _WorkerState] = {}
        self._started = 0
        self._first_facts: tuple[Any] | None = None

    def run(self, devices: Sequence[str]) -> None:
        """Have all tasks done by one worker for each device. No worker outlives this call, however it ends.

        Raises:
            LostWorkerError: `MAX_DEATHS` workers died over the same task, or in a row before they took one.
            ExpclipError: any error of a worker.
        """
        try:
            for device in devices:
                self._start(device)
            while not self._queue.done:
                self._handle_messages(POLL_SECONDS)
            self._dismiss()
        finally:
            self._transport.stop()

    def _start(self, device: str) -> None:
        self._started += 1
        name = f"worker {self._started}"
        self._workers[name] = _WorkerState(device)
        self._transport.start(name, device)

    def _handle_messages(self, seconds: float) -> None:
        for worker, message in self._transport.receive(seconds):
            self._handle(worker, message)

    def _handle(self, worker: str, message: tuple[Any, ...]) -> None:
        """Handle one message. A worker that ended may turn out to be alive; its results count, but it gets no task."""
        match message:
            case "ready", where, facts:
                self._welcome(worker, where, facts)
            case "take", idle:
                self._answer_take(worker, idle)
            case "finished", task, record:
                self._queue.finish(task)
                self._listener.finished(task, record)
            case "advance", task, steps:
                self._listener.advance(task, steps)
            case "say", line:
                self._listener.say(line)
            case "lost", reason:
                if worker in self._workers:
                    self._workers[worker].lost = reason
            case "failed", error:
                raise error
            case "ended", how:
                self._reap(worker, how)
            case _:
                raise ValueError(f"unknown message of {worker}: {message!r}")

    def _welcome(self, worker: str, where: str, facts: Any) -> None:
        if self._first_facts is None:
            self._first_facts = (facts,)
            count = len(self._workers)
            self._listener.ready(where if count == 1 else f"{count} {self._transport.workers}, the first on {where}")
        if worker in self._workers:
            self._workers[worker].ready = True
        self._transport.reply(worker, self._first_facts[0])

    def _answer_take(self, worker: str, idle: bool) -> None:
        state = self._workers.get(worker)
        task = self._queue.take(worker, idle=idle) if state else None
        if state:
            state.waiting = idle and task is None and not self._queue.done
            if state.waiting:
                return
        self._transport.reply(worker, task)

    def _answer_waiting(self) -> None:
        for worker in [name for name, state in self._workers.items() if state.waiting]:
            self._answer_take(worker, idle=True)

    def _reap(self, worker: str, how: str) -> None:
        """Requeue the tasks of a worker that ended, and start another one."""
        state = self._workers.pop(worker)
        if self._queue.done:
            return
        how = state.lost or how
        for task in self._queue.requeue(worker):
            self._listener.lost(task)
        poison = self._queue.poison_task
        if poison is not None:
            raise LostWorkerError(
                f"{self._listener.name(poison)}: {MAX_DEATHS} workers died over it, one after the other. The last one: "
                f"{how} Finished work is kept."
            )
        if self._queue.workers_fail_to_start:
            raise LostWorkerError(f"{MAX_DEATHS} workers in a row died before they took a task. The last one: {how}")
        self._listener.say(f"{how} {self._transport.replacement}")
        self._start(state.device)
        self._answer_waiting()

    def _dismiss(self) -> None:
        """Tell the workers that all tasks are finished, and wait for them to exit, except for those not ready yet."""
        self._answer_waiting()
        deadline = time.monotonic() + GRACE_SECONDS
        while any(state.ready for state in self._workers.values()) and (left := deadline - time.monotonic()) > 0:
            self._handle_messages(left)
