"""Workers as processes of this machine, one for each device, connected by pipes.

On Linux a fork server imports the libraries of the encoders once, and the workers are forked from it. A worker tells at
intervals that it is alive, so that one that is stopped or hangs is noticed.
"""

import multiprocessing
import multiprocessing.forkserver
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from expclip_cache.base import exit_with_requester, stop_signals_blocked
from expclip_cache.workers.connected_worker import Connection, run_worker
from expclip_cache.workers.coordinator import GRACE_SECONDS, Coordinator, Messages, Transport
from expclip_cache.workers.protocols import Listener, WorkerFunction

if TYPE_CHECKING:
    # What `Pipe()` gives on every platform; the type checker checks all of them.
    from multiprocessing.connection import _ConnectionBase as Pipe

BEAT_SECONDS = 10.0
"""Interval at which a worker tells that it is alive."""

SILENT_SECONDS = 60.0
"""A worker that has told nothing for so long is named to the user."""

LOST_SECONDS = 300.0
"""And then it is replaced."""

UNMOVED_SECONDS = 600.0
"""A worker that is alive but has reported nothing of its work for so long is named to the user."""


def run_in_processes(
    function: WorkerFunction, tasks: Sequence[int], devices: Sequence[str], listener: Listener
) -> None:
    """Have the tasks done by one process for each device; a process that dies is replaced.

    Raises:
        LostWorkerError, ExpclipError: see `Coordinator.run`.
    """
    Coordinator(tasks, ProcessTransport(function), listener).run(devices)


@dataclass
class _Silence:
    """For how long a process has told nothing; only the time in which the coordinator listened counts.

    Attributes:
        limit: in seconds, after which the user is told.
        seconds: of silence so far.
    """

    limit: float
    seconds: float = 0.0

    def grows(self, seconds: float) -> bool:
        """Add seconds; returns whether the limit has just been passed."""
        before, self.seconds = self.seconds, self.seconds + seconds
        return before < self.limit <= self.seconds


@dataclass
class _Process:
    """A live worker.

    Attributes:
        silent: since it told anything.
        unmoved: since it told anything about its work, or was answered.
        asked: it waits for an answer.
    """

    device: str
    process: BaseProcess
    pipe: "Pipe"
    silent: _Silence = field(default_factory=lambda: _Silence(SILENT_SECONDS))
    unmoved: _Silence = field(default_factory=lambda: _Silence(UNMOVED_SECONDS))
    asked: bool = False

    def received(self, messages: Messages) -> None:
        self.silent.seconds = 0.0
        if messages:
            self.unmoved.seconds = 0.0
            self.asked = messages[-1][1][0] in ("ready", "take")

    def waited_for(self, seconds: float) -> str:
        """Count seconds in which it told nothing; returns what the user should know by now, if anything."""
        name = f"{self.process.name} on {self.device} (process {self.process.pid})"
        if self.silent.grows(seconds):
            return (
                f"{name} has not answered for {SILENT_SECONDS:.0f} s: it may be stopped, or this machine may be short "
                f"of memory. After {LOST_SECONDS:.0f} s it is killed and replaced."
            )
        if self.silent.seconds >= LOST_SECONDS:
            self.process.kill()
        if not self.asked and self.unmoved.grows(seconds):
            return (
                f"{name} has been at the same batch for {UNMOVED_SECONDS / 60:.0f} min. If it hangs, "
                f"`kill -9 {self.process.pid}` has it replaced; finished work is kept."
            )
        return ""


class ProcessTransport(Transport):
    """Starts processes, and waits on their pipes; a pipe that is closed means that the process has ended."""

    workers = "processes"
    replacement = "Another process replaces it."

    def __init__(self, function: WorkerFunction):
        self._function = function
        self._processes: dict[str, _Process] = {}

    @override
    def start(self, worker: str, device: str) -> None:
        ours, theirs = multiprocessing.Pipe()
        arguments = self._function, device, theirs, BEAT_SECONDS
        if sys.platform == "linux":
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([*self._function.modules])
            # The server and its processes inherit that the signals are blocked. Its first answer comes after its
            # imports, so it is not waited for in here.
            with stop_signals_blocked():
                multiprocessing.forkserver.ensure_running()
            process = context.Process(target=_run_process, args=arguments, name=worker)
            process.start()
        else:
            process = multiprocessing.get_context("spawn").Process(target=_run_process, args=arguments, name=worker)
            # Ctrl-C would show a traceback of a worker that is still importing.
            with stop_signals_blocked():
                process.start()
        self._processes[worker] = _Process(device, process, ours)
        theirs.close()

    @override
    def receive(self, seconds: float) -> Messages:
        start = time.monotonic()
        readable = set(wait([process.pipe for process in self._processes.values()], seconds))
        # No longer, even if this process was stopped meanwhile.
        waited = min(time.monotonic() - start, seconds)
        messages: Messages = []
        for worker, process in list(self._processes.items()):
            if process.pipe in readable:
                try:
                    received = [(worker, message) for message in process.pipe.recv()]
                    process.received(received)
                except (EOFError, OSError):
                    received = [(worker, ("ended", self._reap(worker)))]
                messages += received
            elif line := process.waited_for(waited):
                messages.append((worker, ("say", line)))
        return messages

    @override
    def reply(self, worker: str, answer: object) -> None:
        # It may have died: then its end is the last message of this `receive`, or the next one.
        with suppress(KeyError, OSError):
            self._processes[worker].pipe.send(answer)
            self._processes[worker].asked = False

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


def _run_process(function: WorkerFunction, device: str, pipe: "Pipe", interval: float) -> None:
    """The main function of a worker process."""
    # `ProcessTransport.stop` sends SIGTERM.
    signal.signal(signal.SIGTERM, _exit)
    exit_with_requester()
    connection = _PipeConnection(pipe)
    threading.Thread(target=_beat, args=(connection, interval), name="beat", daemon=True).start()
    run_worker(function, device, connection)


def _beat(connection: Connection, interval: float) -> None:
    with suppress(OSError):
        while True:
            time.sleep(interval)
            connection.send()


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
