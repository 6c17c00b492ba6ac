"""What each worker does: load the encoder once, then encode and write shards of any dataset until none is missing."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import CacheError
from expclip_cache.cache import (
    Block,
    CacheSettings,
    Folder,
    Identity,
    Json,
    ShardEntry,
    ShardWriter,
    Store,
    differences,
    identity_differences,
    is_signed,
    manifest_with,
    refuse_other_identity,
)
from expclip_cache.datasets import Manifest, Root
from expclip_cache.extraction.jobs import Encoder, keeps_frames
from expclip_cache.extraction.tasks import ShardTask, WorkerTasks
from expclip_cache.workers import RunSettings, Worker


@dataclass(frozen=True)
class CacheToFill:
    """A cache with missing shards, and what they are made from.

    Attributes:
        root: folder or address of the images, as every worker sees it.
        store: where the cache and the manifest are stored, as every worker sees them.
        settings: of the identity of the shards.
        there: shards of the cache that are there already, one for each encoder that made them.
        signature: the client's, in the lock file of the store's folder.
        shared_with: see `Job`.
    """

    root: Root
    store: Store
    settings: Mapping[str, Json]
    there: tuple[ShardEntry, ...]
    signature: str
    shared_with: int

    def identity(self, described: Mapping[str, Json]) -> Identity:
        """Of the shards to make, in the words of those that are there.

        Args:
            described: by the loaded encoder.
        """
        wanted = Identity(self.settings, described)
        return next(
            (entry.identity for entry in self.there if not identity_differences(entry.identity, wanted)), wanted
        )

    def manifest(self) -> Manifest:
        """Which images the rows are; mapped, so that a worker reads only what its shards need.

        Raises:
            CacheError, DataError: it cannot be read.
        """
        return manifest_with(self.store, self.settings["manifest"])

    def check_folder(self) -> None:
        """Make sure that a worker elsewhere writes where the client looks.

        Raises:
            CacheError: it would not.
        """
        if isinstance(self.store, Folder) and not is_signed(self.store.folder, self.signature):
            raise CacheError(
                f"{self.store}: is not the same folder on {os.uname().nodename} as where the command was started. "
                "Name a folder that all machines share, or an address such as s3://bucket/features."
            )


@dataclass(frozen=True)
class EncodeShards:
    """The worker function of an extraction.

    Attributes:
        tasks: the missing shards, by number of the task; their datasets are places in `caches`.
        load, settings: see `RequestedEncoder`.
        threads: of torch. On a CPU the last bit of the results depends on it, so all workers use the client's.
        modules: see `WorkerFunction`.
    """

    caches: tuple[CacheToFill, ...]
    tasks: tuple[ShardTask, ...]
    load: Callable[[str], Encoder]
    settings: Mapping[str, Json]
    cache: CacheSettings
    run: RunSettings
    threads: int
    modules: tuple[str, ...]

    def __call__(self, worker: Worker, device: str) -> None:
        """Work as one worker. Where a dataset cannot be encoded, the error is the result of its tasks.

        Raises:
            CacheError: workers have different encoders, or a shard cannot be written.
            EncoderError: the encoder cannot be loaded.
            LostWorkerError: a decoding process died or hung.
        """
        import torch

        from expclip_cache.workers import device_name

        torch.set_num_threads(self.threads)
        if worker.separate_process:
            for filled in self.caches:
                filled.check_folder()
        encoder = self.load(device)
        described = encoder.describe()
        library = described.pop("library")
        facts = described | ({"library": library} if self.cache.on_other_library == "refuse" else {})
        refuse_other_encoder(worker.ready(device_name(encoder.device), facts), facts)
        writers = [ShardWriter(filled.store, filled.identity(described), library) for filled in self.caches]
        self._encode(worker, encoder, writers)

    def _encode(self, worker: Worker, encoder: Encoder, writers: Sequence[ShardWriter]) -> None:
        """Encode and write shards until none is missing."""
        from expclip_cache.extraction.batch_size import images_per_batch
        from expclip_cache.extraction.decoding import Images
        from expclip_cache.extraction.encode_shards import DatasetFailedError, EncodingLoop
        from expclip_cache.extraction.kept_pixels import keep_pixels

        tasks = WorkerTasks(worker, self.tasks)
        for dataset, (filled, writer) in enumerate(zip(self.caches, writers, strict=True)):
            try:
                refuse_other_identity(filled.store, filled.there, writer.identity)
            except CacheError as error:
                tasks.give_up(dataset, error)

        def keep(made: ShardTask, block: Block) -> None:
            tasks.finished(made.task, writers[made.dataset].write(block))

        folders = [keep_pixels(self.run, encoder.device.type, filled.shared_with) for filled in self.caches]
        loop = EncodingLoop(
            encoder=encoder,
            images=[
                Images(filled.manifest(), filled.root, folder)
                for filled, folder in zip(self.caches, folders, strict=True)
            ],
            cache=self.cache,
            worker=worker,
            batch_size=images_per_batch(self.settings, encoder, self.run, worker),
            decoders=self.run.workers,
            keep_frames=keeps_frames(self.settings),
        )
        while (shards := tasks.next_tasks()) is not None:
            try:
                loop.run(self._announced(shards, folders, worker), keep)
            except DatasetFailedError as failed:
                tasks.give_up(failed.dataset, failed.reason)

    def _announced(
        self, shards: Iterable[ShardTask], folders: Sequence[Path | None], worker: Worker
    ) -> Iterator[ShardTask]:
        """The same shards; the worker that takes the first one whose decoded images are kept says where."""
        first = next((shard.task for shard in self.tasks if folders[shard.dataset]), None)
        for shard in shards:
            if shard.task == first:
                kept = "decoded images are kept here for the other encoders; delete the folder after the run"
                worker.say(f"{folders[shard.dataset]}: {kept}")
            yield shard


def refuse_other_encoder(first: Mapping[str, Json], own: Mapping[str, Json]) -> None:
    """All workers must have loaded the same encoder.

    Args:
        first: facts of the worker that was ready first.
        own: facts of this one.

    Raises:
        CacheError: it has loaded another.
    """
    if changed := differences(first, own, ("the first worker has", "this one")):
        raise CacheError(
            f"workers have different encoders; nothing of this one, on {os.uname().nodename}, was kept.\n  "
            + "\n  ".join(changed)
            + "\nGive every machine the same files and library versions."
        )
