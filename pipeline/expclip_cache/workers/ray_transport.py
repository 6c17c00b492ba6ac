"""Workers as actors of a Ray cluster: one for each GPU, or for each group of CPUs.

Actors cannot call the process that started them. So messages go through a mailbox, an actor on the same node as the
coordinator, which fetches them from there. Ray starts and places the actors, and reports when one has ended.
"""

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from typing_extensions import override

from expclip_cache.base import LostWorkerError, SettingsError
from expclip_cache.workers.connected_worker import Connection, run_worker
from expclip_cache.workers.coordinator import Messages, Transport
from expclip_cache.workers.protocols import Worker, WorkerFunction

WAITING_SECONDS = 30.0
"""If no worker is ready after this time, the user is told what a worker needs."""

CONCURRENT_CALLS = 10_000
"""Workers that may wait for an answer of the mailbox at the same time."""


class RayTransport(Transport):
    """Starts actors, and receives what they put into the mailbox."""

    workers = "Ray workers"
    replacement = "Another worker replaces it as soon as the cluster has room."

    def __init__(self, ray: ModuleType, function: WorkerFunction, resources: dict[str, int]):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._resources = ray, resources
        self._function = ray.put(function)
        this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy=this_node)(_Mailbox)
        self._mailbox = mailbox.options(max_concurrency=CONCURRENT_CALLS).remote()
        self._actor = ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **resources)(_Actor)
        self._running: dict[Any, tuple[str, Any]] = {}
        self._messages = self._mailbox.receive.remote()
        self._warn_at = time.monotonic() + WAITING_SECONDS

    @override
    def start(self, worker: str, device: str) -> None:
        actor = self._actor.remote()
        end = actor.run.remote(worker, device, str(Path.cwd()), self._function, self._mailbox)
        self._running[end] = worker, actor

    @override
    def receive(self, seconds: float) -> Messages:
        happened, _ = self._ray.wait([self._messages, *self._running], num_returns=1, timeout=seconds)
        if self._messages in happened:
            return self._fetch_messages()
        for end in happened:
            worker, _ = self._running.pop(end)
            # Through the mailbox, so that it comes after everything that the worker has sent.
            self._mailbox.send.remote(worker, ("ended", self._how_ended(worker, end)))
        if time.monotonic() < self._warn_at:
            return []
        self._warn_at = float("inf")
        needed = "1 GPU" if self._resources["num_gpus"] else f"{self._resources['num_cpus']} CPU"
        return [("", ("say", f"no worker is ready yet; each needs a node with {needed} available"))]

    @override
    def reply(self, worker: str, answer: object) -> None:
        self._mailbox.reply.remote(worker, answer)

    @override
    def stop(self) -> None:
        """Kill all actors; files are written atomically, so nothing is left half-written."""
        for _, actor in self._running.values():
            self._ray.kill(actor)
        self._ray.kill(self._mailbox)

    def _fetch_messages(self) -> Messages:
        try:
            messages = self._ray.get(self._messages)
        except self._ray.exceptions.RayError as error:
            raise LostWorkerError(
                f"the Ray actor that passes on the messages of the workers died ({_first_line(error)}). Run the same "
                "command again: finished work is kept."
            ) from None
        self._messages = self._mailbox.receive.remote()
        if any(kind == "ready" for _, (kind, *_) in messages):
            self._warn_at = float("inf")
        return messages

    def _how_ended(self, worker: str, end: object) -> str:
        try:
            self._ray.get(end)
        except self._ray.exceptions.RayError as error:
            return f"{worker} died ({_first_line(error)})."
        return f"{worker} ended before all tasks were finished."


class _Mailbox:
    """An actor that holds messages of the workers until they are fetched, and passes on the answers."""

    def __init__(self) -> None:
        self._messages: Messages = []
        self._arrived = asyncio.Event()
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def send(self, worker: str, *messages: tuple[Any, ...]) -> None:
        self._messages += [(worker, message) for message in messages]
        self._arrived.set()

    async def ask(self, worker: str, *messages: tuple[Any, ...]) -> Any:
        answer = self._answers[worker] = asyncio.get_running_loop().create_future()
        await self.send(worker, *messages)
        return await answer

    async def receive(self) -> Messages:
        """All messages since the last call; waits for at least one."""
        await self._arrived.wait()
        self._arrived.clear()
        messages, self._messages = self._messages, []
        return messages

    async def reply(self, worker: str, answer: Any) -> None:
        if future := self._answers.pop(worker, None):
            future.set_result(answer)


class _Actor:
    """An actor that runs one worker."""

    def run(self, worker: str, device: str, folder: str, function: WorkerFunction, mailbox: Any) -> None:
        """Run until all tasks are done, or until the worker has reported an error."""
        run_worker(partial(_run_in_folder, folder, function), device, _MailboxConnection(worker, mailbox))


def _run_in_folder(folder: str, function: WorkerFunction, worker: Worker, device: str) -> None:
    """Run the function in the coordinator's working folder, so that relative paths mean the same."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise SettingsError(
            f"run.executor: {os.uname().nodename} cannot enter {folder}, where the command was started "
            f"({error.strerror}). Start it in a folder that all nodes share under the same path."
        ) from None
    function(worker, device)


class _MailboxConnection(Connection):
    def __init__(self, worker: str, mailbox: Any):
        import ray

        self._get, self._worker, self._mailbox = ray.get, worker, mailbox

    @override
    def send(self, *messages: tuple[Any, ...]) -> None:
        # Waits until they have arrived, so that they are not lost if the worker dies next.
        self._get(self._mailbox.send.remote(self._worker, *messages))

    @override
    def ask(self, *messages: tuple[Any, ...]) -> Any:
        return self._get(self._mailbox.ask.remote(self._worker, *messages))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
