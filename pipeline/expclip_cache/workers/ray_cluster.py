"""A Ray cluster: an actor for each GPU, or for each CPU slot, takes numbers until there are none left.

The plan is kept by an actor beside the driver, since a driver cannot be called. Workers ask it for numbers; it passes
on to the driver what they report. Ray starts and places the actors, and says when one is gone.
"""

import asyncio
import os
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from expclip_cache.base import EncoderError, ExpclipError, LostWorkerError, SettingsError
from expclip_cache.workers.plan import Plan, refuse_more_deaths
from expclip_cache.workers.protocols import Facts, Listener, Record, Work
from expclip_cache.workers.settings import RunSettings

QUIET = {
    # Ray would zip the working folder, features and all, and send it to every node.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Environment of Ray, where the user has not set it."""

WAITING_SECONDS = 30.0
"""After so long without a single worker that is ready, the user hears what one needs."""

TOLD_SECONDS = 0.5
"""A worker reports its progress so often."""

GATHERED_SECONDS = 0.05
"""Reports of workers are passed on to the driver together with those of so long."""


def run_on_cluster(work: Work, numbers: Sequence[int], run: RunSettings, listener: Listener) -> None:
    """Do the work on the cluster that Ray finds (RAY_ADDRESS, or one that runs on this machine), or on one of its own.

    A worker that is lost is replaced when the cluster has room; what it had not finished is done by others meanwhile.

    Raises:
        SettingsError: Ray is not installed, or `run.device` names one device of one machine.
        EncoderError: the cluster has nothing of the kind that is asked for.
        LostWorkerError: several workers in a row died over the same number, or before they took one.
        ExpclipError: whatever a worker raised.
    """
    ray = import_ray()
    if run.device.startswith("cuda:"):
        raise SettingsError(f"run.device: expected auto, cpu or cuda for executor ray, found {run.device!r}.")
    with _connected(ray):
        slot = _slot(ray, run.device, work.threads)
        driver = _Driver(ray, work, numbers, slot, listener)
        try:
            for _ in range(min(_count(ray, slot, run.processes), len(numbers))):
                driver.hire()
            driver.watch()
        finally:
            driver.end()


def import_ray() -> ModuleType:
    """Ray, quiet unless its environment says otherwise.

    Raises:
        SettingsError: it is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise SettingsError(
            "run.executor: ray was asked for and is not installed. pip install 'expclip-cache[ray]' on every machine "
            "of the cluster, or use executor: local."
        ) from None
    return ray


@contextmanager
def _connected(ray: ModuleType) -> Iterator[None]:
    """Be connected to a cluster for the block; a connection that is there already is used and left."""
    if ray.is_initialized():
        yield
        return
    # Ray puts handlers of its own in their place, and an orderly end is ours.
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _slot(ray: ModuleType, device: str, threads: int) -> dict[str, float]:
    """What one worker needs of a node, as options of an actor."""
    if device == "cpu" or (device == "auto" and not ray.cluster_resources().get("GPU")):
        return {"num_cpus": threads, "num_gpus": 0}
    # The GPU is what workers compete for; a node has CPUs enough for those beside its GPUs.
    return {"num_cpus": 0, "num_gpus": 1}


def _count(ray: ModuleType, slot: dict[str, float], processes: int | str) -> int:
    """How many workers to start.

    Raises:
        EncoderError: not a single one fits on any node.
    """
    if processes != "auto":
        return processes
    kind, need = ("GPU", slot["num_gpus"]) if slot["num_gpus"] else ("CPU", slot["num_cpus"])
    nodes = [node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]]
    count = sum(int(amount // need) for amount in nodes)
    if not count:
        raise EncoderError(
            f"run.executor: no node of the Ray cluster has {need:g} {kind} for a worker; its {len(nodes)} nodes have "
            f"{', '.join(f'{amount:g}' for amount in nodes)}. A worker on CPUs takes as many as this process has "
            "threads, see OMP_NUM_THREADS. If the cluster grows by itself, say how many workers with run.processes."
        )
    return count


class _Driver:
    """Hires workers, hears what they report, replaces the lost."""

    def __init__(self, ray: ModuleType, work: Work, numbers: Sequence[int], slot: dict, listener: Listener):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._slot, self._listener = ray, slot, listener
        self._missing = set(numbers)
        self._work = ray.put(work)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        keeper = ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy=here)(_Keeper)
        self._keeper = keeper.options(max_concurrency=10_000).remote(list(numbers))
        self._worker = ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **slot)(_Worker)
        self._hired: dict = {}
        self._started = 0
        self._anyone_ready = False

    def hire(self) -> None:
        """Ask for one more worker; it joins when the cluster has room for it."""
        self._started += 1
        name = f"worker {self._started}"
        device = "cuda:0" if self._slot["num_gpus"] else "cpu"
        actor = self._worker.remote()
        life = actor.live.remote(name, device, str(Path.cwd()), self._work, self._keeper)
        self._hired[life] = name, actor

    def watch(self) -> None:
        """Listen until every number is finished."""
        ray, patience = self._ray, time.monotonic() + WAITING_SECONDS
        news = self._keeper.news.remote()
        while self._missing:
            if not self._anyone_ready and time.monotonic() > patience:
                patience = float("inf")
                self._listener.say(f"no worker is ready yet; each waits until some node has {self._needs()} for it")
            ended, _ = ray.wait([news, *self._hired], num_returns=1, timeout=1.0)
            if news in ended:
                for kind, *content in self._heard(news):
                    self._act(kind, *content)
                news = self._keeper.news.remote()
            for life in ended:
                if life in self._hired:
                    self._see_off(life)

    def end(self) -> None:
        """End all workers, at once: what they have under way is whole files or nothing."""
        for _, actor in self._hired.values():
            self._ray.kill(actor)
        self._ray.kill(self._keeper)

    def _heard(self, news: object) -> list[tuple]:
        try:
            return self._ray.get(news)
        except self._ray.exceptions.RayError as error:
            raise LostWorkerError(
                f"the process that keeps the plan of the job died ({_first_line(error)}). Run the same command again: "
                "what was finished is kept."
            ) from None

    def _act(self, kind: str, *content) -> None:
        if kind == "ready":
            if not self._anyone_ready:
                self._anyone_ready = True
                self._listener.ready(f"{len(self._hired)} workers of a Ray cluster, the first on {content[0]}")
        elif kind == "finished":
            number, record = content
            self._missing.discard(number)
            self._listener.finished(number, record)
        elif kind == "advance":
            self._listener.advance(*content)
        elif kind == "say":
            self._listener.say(*content)

    def _see_off(self, life: object) -> None:
        """A worker has ended: because all is done, with an error of its own, or because it died."""
        name, _ = self._hired.pop(life)
        try:
            kind, *content = self._ray.get(life)
        except self._ray.exceptions.RayError as error:
            kind, content = "lost", [f"{name} died ({_first_line(error)})."]
        if kind == "failed":
            raise content[0]
        if kind == "done":
            return
        (how,) = content
        for number in self._ray.get(self._keeper.held.remote(name)):
            self._listener.lost(number)
        guilty, in_vain = self._ray.get(self._keeper.lose.remote(name))
        refuse_more_deaths(None if guilty is None else self._listener.name(guilty), in_vain, how)
        self._listener.say(f"{how} Another takes its place when there is room.")
        self.hire()

    def _needs(self) -> str:
        return "1 GPU" if self._slot["num_gpus"] else f"{self._slot['num_cpus']} CPU"


class _Keeper:
    """An actor that keeps the plan, and the reports of the workers until the driver fetches them."""

    def __init__(self, numbers: Sequence[int]):
        self._plan = Plan(numbers)
        self._gone: set[str] = set()
        self._first: tuple[Facts] | None = None
        self._news: list[tuple] = []
        self._changed = asyncio.Condition()

    async def ready(self, where: str, facts: Facts) -> Facts:
        self._first = self._first or (facts,)
        await self.tell("ready", where)
        return self._first[0]

    async def take(self, worker: str, fresh: bool) -> int | None:
        async with self._changed:
            while worker not in self._gone:
                number = self._plan.take(worker, fresh=fresh)
                if number is not None or not fresh or self._plan.done:
                    return number
                await self._changed.wait()
        return None

    async def finished(self, number: int, record: Record) -> None:
        self._plan.finish(number)
        await self.tell("finished", number, record)

    async def tell(self, *report: object) -> None:
        async with self._changed:
            self._news.append(report)
            self._changed.notify_all()

    async def news(self) -> list[tuple]:
        async with self._changed:
            await self._changed.wait_for(lambda: self._news)
        await asyncio.sleep(GATHERED_SECONDS)
        news, self._news = self._news, []
        return news

    async def held(self, worker: str) -> list[int]:
        # From here on it gets nothing, should it be alive after all.
        self._gone.add(worker)
        return self._plan.held(worker)

    async def lose(self, worker: str) -> tuple[int | None, bool]:
        self._plan.lose(worker)
        async with self._changed:
            self._changed.notify_all()
        return self._plan.guilty, self._plan.starts_in_vain


class _Worker:
    """An actor that is one worker."""

    def live(self, name: str, device: str, folder: str, work: Work, keeper: object) -> tuple:
        """Work until all is done.

        Returns:
            ("done",), ("lost", why) or ("failed", error): errors arrive as they are, without Ray's wrapping.
        """
        try:
            _enter(folder)
            work(_Driven(name, keeper), device)
        except LostWorkerError as error:
            return "lost", str(error)
        except ExpclipError as error:
            return "failed", error
        except Exception:  # noqa: BLE001 - it is not handled here but told where it can be seen
            return "failed", RuntimeError(f"{name} on {os.uname().nodename} failed:\n{traceback.format_exc()}")
        return ("done",)


def _enter(folder: str) -> None:
    """Be in the driver's folder, so that paths mean the same."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise SettingsError(
            f"run.executor: {os.uname().nodename} cannot enter {folder}, where the command was started "
            f"({error.strerror}). Start it in a folder that all nodes share under the same path."
        ) from None


class _Driven:
    """The `Worker` of an actor: the keeper of the plan, somewhere in the cluster."""

    apart = True

    def __init__(self, name: str, keeper: object):
        import ray

        self._get, self._name, self._keeper = ray.get, name, keeper
        self._untold: Counter[int] = Counter()
        self._told = time.monotonic()

    def ready(self, where: str, facts: Facts = None) -> Facts:
        return self._get(self._keeper.ready.remote(where, facts))

    def take(self, *, fresh: bool) -> int | None:
        self._tell_progress(list(self._untold))
        return self._get(self._keeper.take.remote(self._name, fresh))

    def finished(self, number: int, record: Record) -> None:
        # Its progress goes first: the driver leaves with the last number that is finished.
        self._tell_progress([number])
        self._get(self._keeper.finished.remote(number, record))

    def advance(self, number: int, steps: int) -> None:
        self._untold[number] += steps
        if time.monotonic() - self._told > TOLD_SECONDS:
            self._tell_progress(list(self._untold))

    def say(self, line: str) -> None:
        self._keeper.tell.remote("say", line)

    def _tell_progress(self, numbers: Sequence[int]) -> None:
        # Taken out one by one, as `finished` may come from another thread, for a number that no longer advances.
        for number in numbers:
            self._keeper.tell.remote("advance", number, self._untold.pop(number, 0))
        self._told = time.monotonic()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
