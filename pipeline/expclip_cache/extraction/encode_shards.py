"""The long part of an extraction: decode the rows of the missing shards, encode them, hand over full shards.

The encoder never waits, not even between two datasets: images are decoded ahead of it in worker processes, it has its
next batch before the results of the last are fetched, and a full shard is written while the next one is encoded.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch

from expclip_cache.base import DataError, EncoderError, ExpclipError, LostWorkerError
from expclip_cache.cache import Block, CacheSettings
from expclip_cache.datasets import Manifest
from expclip_cache.extraction.batch import Batch
from expclip_cache.extraction.decoding import Images, decode_batches, plan_batches
from expclip_cache.extraction.encoding import encode_rows, row_width
from expclip_cache.extraction.jobs import Encoder
from expclip_cache.extraction.tasks import ShardTask
from expclip_cache.workers import Worker

MAX_REASON = 500
"""Characters kept of why an image could not be read; some libraries quote the file."""


class DatasetFailedError(Exception):
    """One dataset cannot be encoded; others may."""

    def __init__(self, dataset: int, reason: ExpclipError):
        super().__init__(dataset, reason)
        self.dataset, self.reason = dataset, reason


@dataclass
class EncodingLoop:
    """Encodes shard after shard, of any dataset, without a pause between them.

    Attributes:
        images: of each dataset.
        worker: told of every batch, and of what the user should know.
        batch_size: images per batch.
        decoders: decoding processes; 0 decodes in this one.
        keep_frames: keep the features of every frame of a clip, see `encode_rows`.
    """

    encoder: Encoder
    images: Sequence[Images]
    cache: CacheSettings
    worker: Worker
    batch_size: int
    decoders: int
    keep_frames: bool = False
    _in_progress: deque[ShardTask] = field(default_factory=deque)

    def run(self, shards: Iterable[ShardTask], keep: Callable[[ShardTask, Block], None]) -> None:
        """Encode these shards.

        Args:
            shards: taken one by one, as the decoding gets there.
            keep: called with each shard as soon as it is full, in another thread.

        Raises:
            DatasetFailedError: an image cannot be read and `cache.on_bad_image` is `fail`; a feature is not finite; a
                single image does not fit into memory; or its decoded image cannot be kept. Full shards were kept.
            DataError: decoded images cannot be kept at all.
            LostWorkerError: a decoding worker died or hung.
        """
        self._in_progress.clear()
        how, pin = self.encoder.preprocess, self.encoder.device.type == "cuda"
        written: Future[None] | None = None
        with (
            decode_batches(
                self.images, how, self._batches(shards), workers=self.decoders, pin=pin, say=self.worker.say
            ) as decoded,
            ThreadPoolExecutor(1, "shard-writer") as background,
        ):
            while (block := self._next_block(decoded)) is not None:
                if written:
                    written.result()
                written = background.submit(keep, self._in_progress.popleft(), block)
            if written:
                written.result()

    def _batches(self, shards: Iterable[ShardTask]) -> Iterator[tuple[int, range]]:
        """Dataset and rows of each batch; a shard is in progress from its first batch on."""
        for shard in shards:
            self._in_progress.append(shard)
            rows_per_batch = max(1, self.batch_size // self.images[shard.dataset].manifest.frames)
            for rows in plan_batches([shard.rows], rows_per_batch):
                yield shard.dataset, rows

    def _next_block(self, decoded: Iterator[Batch]) -> Block | None:
        """The next shard, which is the first of those in progress; None if there is no other."""
        try:
            batch = next(decoded, None)
            return self._encode(self._in_progress[0], chain([batch], decoded)) if batch else None
        except LostWorkerError:
            raise
        except (DataError, EncoderError) as error:
            raise DatasetFailedError(self._in_progress[0].dataset, error) from error

    def _encode(self, shard: ShardTask, batches: Iterator[Batch]) -> Block:
        manifest, rows = self.images[shard.dataset].manifest, shard.rows
        width = row_width(self.encoder, manifest.frames, keep_frames=self.keep_frames)
        features = np.full((len(rows), width), np.nan, dtype=self.cache.dtype)
        reasons: list[bytes] = []
        pending: tuple[np.ndarray, torch.Tensor] | None = None
        while len(reasons) < len(rows):
            batch = next(batches)
            _apply_policy(manifest, batch, self.cache)
            good = np.array([not error for error in batch.errors])
            places = len(reasons) + np.flatnonzero(good)
            encoded = places, encode_rows(self.encoder, batch.pixels, good, self.worker, keep_frames=self.keep_frames)
            if pending:
                _fetch(manifest, features, rows, *pending, self.cache)
            pending = encoded
            reasons += [_reason(error) for error in batch.errors]
            self.worker.advance(shard.task, len(batch.rows))
        if pending:
            _fetch(manifest, features, rows, *pending, self.cache)
        members = manifest.rows[rows.start : rows.stop]
        return Block(
            number=shard.number,
            first_row=rows.start,
            features=features,
            labels=np.array([row.label for row in members], dtype=np.int32),
            paths=tuple(os.fsencode(row.path) for row in members),
            errors=tuple(reasons),
        )


def _fetch(
    manifest: Manifest,
    features: np.ndarray,
    rows: range,
    places: np.ndarray,
    encoded: torch.Tensor,
    cache: CacheSettings,
) -> None:
    """Store the encoded rows at their places; waits for the device."""
    # Too large for float16 becomes infinite, which is refused by name just below.
    with np.errstate(over="ignore"):
        features[places] = encoded.cpu().numpy()
    _refuse_infinite(manifest, features[places], places + rows.start, cache)


def _apply_policy(manifest: Manifest, batch: Batch, cache: CacheSettings) -> None:
    for row, error in zip(batch.rows, batch.errors, strict=True):
        if error and cache.on_bad_image == "fail":
            raise DataError(
                f"{manifest.name}: {manifest.rows[row].path!r} (row {row}) cannot be read: {error}. Fix or remove it, "
                "or set cache.on_bad_image: skip to record it and continue; finished shards are kept."
            )


def _refuse_infinite(manifest: Manifest, features: np.ndarray, rows: np.ndarray, cache: CacheSettings) -> None:
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if wrong.size:
        path = manifest.rows[int(rows[wrong[0]])].path
        raise EncoderError(
            f"{manifest.name}: the features of {path!r} are not finite in {cache.dtype} ({wrong.size} rows of this "
            "batch). Use precision: fp32, or cache.dtype: float32 if they are only too large for half precision."
        )


def _reason(error: str) -> bytes:
    """A reason as the shard keeps it: short, and without the one byte that a fixed-width string cannot hold."""
    return error[:MAX_REASON].replace("\0", "\\0").encode("utf-8", "backslashreplace")
