"""Encode the missing shards and write them, by as many workers as there are, wherever they run.

Only numbers of shards go to a worker, and only a shard's entry for the index comes back: pictures are read, and
features written, where the encoder is.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from expclip_cache.base import Bar, CacheError, Reporter
from expclip_cache.cache import (
    Block,
    CacheSettings,
    Claim,
    Folder,
    Identity,
    Json,
    ShardEntry,
    Store,
    canonical_json,
    differences,
    open_shard,
    shard_name,
    write_shard,
)
from expclip_cache.datasets import Manifest
from expclip_cache.extraction.jobs import Encoder, Job
from expclip_cache.extraction.resume import any_shard, refuse_other_encoder
from expclip_cache.workers import RunSettings, Worker, execute


def make_shards(
    job: Job,
    store: Store,
    claim: Claim,
    settings: Mapping[str, Json],
    parts: Mapping[int, range],
    done: dict[int, ShardEntry],
    cache: CacheSettings,
    run: RunSettings,
    report: Reporter,
) -> None:
    """Encode and write shards, and add their entries to `done`.

    Args:
        claim: the right to write these shards.
        settings: of the cache's identity.
        parts: the rows of each shard to make, by its number.
        done: the shards of this cache that are there; those that are made must come from the same encoder.
    """
    import torch

    from expclip_cache.workers import resolve_devices

    if job.settings["weights"] == "random":
        report.say(f"{job.out}: the weights are random, as asked: these features mean nothing")
    others = [entry for entry in [any_shard(store)] if entry]
    encoders = {canonical_json(entry.identity.encoder): entry for entry in [*done.values(), *others]}
    made, threads = tuple(encoders.values()), torch.get_num_threads()
    work = ShardWork(
        job.manifest, job.root(), job.load, store, settings, parts, made, cache, run, threads, claim.signature
    )
    with _Progress(job, store, parts, done, report) as progress:
        execute(work, list(parts), run, partial(resolve_devices, run.device, run.processes), progress)


@dataclass(frozen=True)
class ShardWork:
    """What each worker does: load the encoder once, then encode and write shards until there are none left.

    Attributes:
        root: folder of the pictures, as every worker sees it.
        load: see `Job.load`.
        store: where the cache lives, as every worker sees it.
        made: shards of the cache that are there already, one for each encoder that made them.
        threads: of torch. The CPU's results depend on it in their last bit, so all workers use the driver's.
        signature: the driver's, in the lock file of the store's folder.
    """

    manifest: Manifest
    root: Path
    load: Callable[[str], Encoder]
    store: Store
    settings: Mapping[str, Json]
    parts: Mapping[int, range]
    made: tuple[ShardEntry, ...]
    cache: CacheSettings
    run: RunSettings
    threads: int
    signature: str

    def __call__(self, worker: Worker, device: str) -> None:
        """Work as one worker.

        Raises:
            CacheError: shards that are there, or that another worker makes, come from another encoder; or a shard
                cannot be written.
            DataError, EncoderError: see `expclip_cache.extraction.encode_shards`.
        """
        import torch

        from expclip_cache.extraction.batch_size import pictures_at_once
        from expclip_cache.extraction.encode_shards import encode_shards
        from expclip_cache.workers import device_name

        torch.set_num_threads(self.threads)
        if worker.apart:
            self._reach_store()
        encoder = self.load(device)
        said = encoder.describe()
        library = said.pop("library")
        identity = Identity(self.settings, said)
        refuse_other_encoder(self.store, self.made, identity)
        first = worker.ready(device_name(encoder.device), said)
        if changed := differences(first, said, ("the first worker has", "this one")):
            raise CacheError(
                f"{self.store}: workers have different encoders; nothing of this one was kept.\n  "
                + "\n  ".join(changed)
                + "\nGive every machine the same files."
            )

        def keep(block: Block) -> None:
            # Read back at once: what the index will record is what the disk gives, not what we meant to write.
            path = write_shard(self.store.folder, block, identity, library)
            entry = open_shard(path).entry()
            self.store.put(path.name)
            worker.finished(block.number, entry)

        run = self.run.model_copy(update={"batch_size": pictures_at_once(self.settings, encoder, self.run, worker)})
        while (number := worker.take(fresh=True)) is not None:
            numbers = chain([number], iter(partial(worker.take, fresh=False), None))
            parts = ((number, self.parts[number]) for number in numbers)
            encode_shards(self.manifest, self.root, encoder, said["width"], parts, self.cache, run, worker, keep)

    def _reach_store(self) -> None:
        """Make sure that a worker elsewhere writes where the driver looks.

        Raises:
            CacheError: it would not.
        """
        if isinstance(self.store, Folder) and not is_signed(self.store.folder, self.signature):
            raise CacheError(
                f"{self.store}: is not the same folder on {os.uname().nodename} as where the command was started. "
                "Name a folder that all machines share, or an address such as s3://bucket/features."
            )


class _Progress:
    """The driver's view: a bar over all rows, and the entries of the finished shards."""

    def __init__(
        self, job: Job, store: Store, parts: Mapping[int, range], done: dict[int, ShardEntry], report: Reporter
    ):
        self._job, self._store, self._parts, self._done, self._report = job, store, parts, done, report
        self._open = ExitStack()
        self._bar: Bar | None = None
        self._under_way: Counter[int] = Counter()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def ready(self, where: str) -> None:
        total = sum(len(rows) for rows in self._parts.values())
        unit = "clip" if self._job.manifest.frames > 1 else "image"
        self._bar = self._open.enter_context(self._report.bar(f"{self._job.out} on {where}", total, unit))

    def advance(self, number: int, steps: int) -> None:
        self._bar.advance(steps)
        self._under_way[number] += steps

    def finished(self, number: int, record: ShardEntry) -> None:
        self._done[number] = record

    def lost(self, number: int) -> None:
        self._bar.advance(-self._under_way.pop(number, 0))
        self._store.remove_temporaries([shard_name(number)])

    def say(self, line: str) -> None:
        self._report.say(line)

    def name(self, number: int) -> str:
        return f"{self._job.out}: {shard_name(number)}"
