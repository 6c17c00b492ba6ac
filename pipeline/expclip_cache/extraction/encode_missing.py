"""Encode the missing shards and write them, by as many workers as there are, wherever they run.

Only numbers of shards go to a worker, and only a shard's entry for the index comes back: images are read, and features
written, where the encoder is.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from expclip_cache.base import Bar, CacheError, Reporter
from expclip_cache.cache import (
    Block,
    CacheSettings,
    CacheWriter,
    Folder,
    Identity,
    Json,
    ShardEntry,
    ShardWriter,
    Store,
    canonical_json,
    differences,
    is_signed,
    refuse_other_identity,
    shard_name,
)
from expclip_cache.datasets import Manifest
from expclip_cache.extraction.decide import Decision
from expclip_cache.extraction.jobs import Encoder, Job
from expclip_cache.workers import RunSettings, Worker, execute


def encode_missing(
    job: Job,
    writer: CacheWriter,
    decision: Decision,
    plan: Sequence[range],
    there: Sequence[ShardEntry],
    cache: CacheSettings,
    run: RunSettings,
    report: Reporter,
) -> None:
    """Encode and write the shards that were decided on, and record them with the writer.

    Args:
        plan: the rows of each shard of the cache.
        there: shards of the cache that are there; those that are made must come from the same encoder.
    """
    import torch

    from expclip_cache.workers import resolve_devices

    if job.settings["weights"] == "random":
        report.say(f"{job.out}: the weights are random, as requested: these features mean nothing")
    one_of_each = {canonical_json(entry.identity.encoder): entry for entry in ([] if decision.replace else there)}
    work = EncodeShards(
        manifest=job.manifest,
        root=job.root(),
        load=job.load,
        store=writer.store,
        settings=decision.settings or writer.settings,
        rows_of={number: plan[number] for number in decision.encode},
        there=tuple(one_of_each.values()),
        cache=cache,
        run=run,
        threads=torch.get_num_threads(),
        signature=writer.claim.signature,
    )
    with _Progress(job, writer, work.rows_of, report) as progress:
        execute(work, list(decision.encode), run, partial(resolve_devices, run.device, run.processes), progress)


@dataclass(frozen=True)
class EncodeShards:
    """What each worker does: load the encoder once, then encode and write shards until there are none left.

    Attributes:
        root: folder of the images, as every worker sees it.
        load: see `Job.load`.
        store: where the cache is stored, as every worker sees it.
        settings: of the identity of the shards.
        rows_of: the rows of each shard to make, by its number.
        there: shards of the cache that are there already, one for each encoder that made them.
        threads: of torch. On a CPU the last bit of the results depends on it, so all workers use the client's.
        signature: the client's, in the lock file of the store's folder.
    """

    manifest: Manifest
    root: Path
    load: Callable[[str], Encoder]
    store: Store
    settings: Mapping[str, Json]
    rows_of: Mapping[int, range]
    there: tuple[ShardEntry, ...]
    cache: CacheSettings
    run: RunSettings
    threads: int
    signature: str

    def __call__(self, worker: Worker, device: str) -> None:
        """Work as one worker.

        Raises:
            CacheError: shards that are there, or that another worker makes, come from another encoder; or a shard
                cannot be written.
            DataError, EncoderError: see `encode_shards`.
        """
        import torch

        from expclip_cache.extraction.batch_size import images_per_batch
        from expclip_cache.extraction.encode_shards import encode_shards
        from expclip_cache.workers import device_name

        torch.set_num_threads(self.threads)
        if worker.separate_process:
            self._check_folder()
        encoder = self.load(device)
        described = encoder.describe()
        library = described.pop("library")
        shards = ShardWriter(self.store, Identity(self.settings, described), library)
        refuse_other_identity(self.store, self.there, shards.identity)
        facts = described | ({"library": library} if self.cache.on_other_library == "refuse" else {})
        first = worker.ready(device_name(encoder.device), facts)
        if changed := differences(first, facts, ("the first worker has", "this one")):
            raise CacheError(
                f"{self.store}: workers have different encoders; nothing of this one was kept.\n  "
                + "\n  ".join(changed)
                + "\nGive every machine the same files and library versions."
            )

        def keep(block: Block) -> None:
            worker.finished(block.number, shards.write(block))

        batch_size = images_per_batch(self.settings, encoder, self.run, worker)
        while (number := worker.take(idle=True)) is not None:
            numbers = chain([number], iter(partial(worker.take, idle=False), None))
            parts = ((number, self.rows_of[number]) for number in numbers)
            encode_shards(self.manifest, self.root, encoder, parts, self.cache, self.run, batch_size, worker, keep)

    def _check_folder(self) -> None:
        """Make sure that a worker elsewhere writes where the client looks.

        Raises:
            CacheError: it would not.
        """
        if isinstance(self.store, Folder) and not is_signed(self.store.folder, self.signature):
            raise CacheError(
                f"{self.store}: is not the same folder on {os.uname().nodename} as where the command was started. "
                "Name a folder that all machines share, or an address such as s3://bucket/features."
            )


class _Progress:
    """The client's view: a bar over all rows, and the finished shards."""

    def __init__(self, job: Job, writer: CacheWriter, rows_of: Mapping[int, range], report: Reporter):
        self._job, self._writer, self._report = job, writer, report
        self._total = sum(map(len, rows_of.values()))
        self._open = ExitStack()
        self._bar: Bar | None = None
        self._advanced: Counter[int] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def ready(self, where: str) -> None:
        unit = "clip" if self._job.manifest.frames > 1 else "image"
        self._bar = self._open.enter_context(self._report.bar(f"{self._job.out} on {where}", self._total, unit))

    def advance(self, number: int, steps: int) -> None:
        if self._bar:
            self._bar.advance(steps)
        self._advanced[number] += steps

    def finished(self, number: int, record: ShardEntry) -> None:
        self._writer.record(record)

    def lost(self, number: int) -> None:
        if self._bar:
            self._bar.advance(-self._advanced.pop(number, 0))
        self._writer.store.remove_temporaries([shard_name(number)])

    def say(self, line: str) -> None:
        self._report.say(line)

    def name(self, number: int) -> str:
        return f"{self._job.out}: {shard_name(number)}"
