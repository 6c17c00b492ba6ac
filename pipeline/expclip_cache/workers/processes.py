"""Workers as processes of this machine, one for each device, connected by pipes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from expclip_cache.base import exit_with_parent, stop_signals_blocked
from expclip_cache.workers.connected_worker import Connection, run_worker
from expclip_cache.workers.coordinator import GRACE_SECONDS, Coordinator, Messages, Transport
from expclip_cache.workers.protocols import Listener, WorkerFunction

if TYPE_CHECKING:
    # What `Pipe()` gives on every platform; the type checker checks all of them.
    from multiprocessing.connection import _ConnectionBase as Pipe


def run_in_processes(
    function: WorkerFunction, tasks: Sequence[int], devices: Sequence[str], listener: Listener
) -> None:
    """Have the tasks done by one process for each device; a process that dies is replaced.

    Raises:
        LostWorkerError, ExpclipError: see `Coordinator.run`.
    """
    Coordinator(tasks, ProcessTransport(function), listener).run(devices)


@dataclass(frozen=True)
class _Process:
    device: str
    process: BaseProcess
    pipe: "Pipe"


class ProcessTransport(Transport):
    """Starts processes, and waits on their pipes; a pipe that is closed means that the process has ended."""

    workers = "processes"
    replacement = "Another process replaces it."

    def __init__(self, function: WorkerFunction):
        self._function = function
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[str, _Process] = {}

    @override
    def start(self, worker: str, device: str) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_run_process, args=(self._function, device, theirs, os.getpid()), name=worker
        )
        # Ctrl-C would show a traceback of a worker that is still importing.
        with stop_signals_blocked():
            process.start()
            self._processes[worker] = _Process(device, process, ours)
        theirs.close()

    @override
    def receive(self, seconds: float) -> Messages:
        readable = set(wait([process.pipe for process in self._processes.values()], seconds))
        messages: Messages = []
        for worker, process in list(self._processes.items()):
            if process.pipe in readable:
                try:
                    received = process.pipe.recv()
                except (EOFError, OSError):
                    received = [("ended", self._reap(worker))]
                messages += [(worker, message) for message in received]
        return messages

    @override
    def reply(self, worker: str, answer: object) -> None:
        # It may have died: then its end is the last message of this `receive`, or the next one.
        with suppress(KeyError, OSError):
            self._processes[worker].pipe.send(answer)

    @override
    def stop(self) -> None:
        """Terminate all processes, so that they end their own children; kill those that do not exit in time."""
        for process in self._processes.values():
            process.process.terminate()
        for process in self._processes.values():
            process.process.join(GRACE_SECONDS)
            process.process.kill()
            process.process.join()
            process.pipe.close()

    def _reap(self, worker: str) -> str:
        """Returns: how the process ended, as a sentence."""
        ended = self._processes.pop(worker)
        ended.process.join()
        ended.pipe.close()
        code = ended.process.exitcode
        how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return f"{worker} on {ended.device} died ({how})."


def _run_process(function: WorkerFunction, device: str, pipe: "Pipe", coordinator: int) -> None:
    """The main function of a worker process."""
    # `ProcessTransport.stop` sends SIGTERM.
    signal.signal(signal.SIGTERM, _exit)
    exit_with_parent(coordinator)
    run_worker(function, device, _PipeConnection(pipe))


def _exit(*_: object) -> None:
    raise SystemExit(143)


class _PipeConnection(Connection):
    def __init__(self, pipe: "Pipe"):
        self._pipe, self._lock = pipe, threading.Lock()

    @override
    def send(self, *messages: tuple[Any, ...]) -> None:
        with self._lock:
            self._pipe.send(messages)

    @override
    def ask(self, *messages: tuple[Any, ...]) -> Any:
        self.send(*messages)
        return self._pipe.recv()
