"""The long part of an extraction: decode the rows of the missing shards, encode them, hand over full shards.

The encoder never waits: images are decoded ahead of it in worker processes, it has its next batch before the results
of the last are fetched, and a full shard is written while the next one is encoded.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from expclip_cache.base import DataError, EncoderError
from expclip_cache.cache import Block, CacheSettings
from expclip_cache.datasets import Manifest
from expclip_cache.extraction.decoding import Batch, decode_batches, plan_batches
from expclip_cache.extraction.encoding import encode_rows
from expclip_cache.extraction.jobs import Encoder
from expclip_cache.workers import RunSettings, Worker

MAX_REASON = 500
"""Characters kept of why an image could not be read; some libraries quote the file."""


def encode_shards(
    manifest: Manifest,
    root: Path,
    encoder: Encoder,
    parts: Iterable[tuple[int, range]],
    cache: CacheSettings,
    run: RunSettings,
    batch_size: int,
    worker: Worker,
    keep: Callable[[Block], None],
) -> None:
    """Encode shard after shard, without a pause between them.

    Args:
        root: folder of the images.
        parts: number and rows of each shard; taken one by one, as the decoding gets there.
        batch_size: images per batch, whatever `run` says.
        worker: told of every batch, and of what the user should know.
        keep: called with each shard as soon as it is full, in another thread.

    Raises:
        DataError: an image cannot be read and `cache.on_bad_image` is `fail`; decoded images cannot be kept; or a
            decoding worker died or hung.
        EncoderError: a feature is not finite, or a single image does not fit into memory.
    """
    in_progress: deque[tuple[int, range]] = deque()

    def batches() -> Iterator[range]:
        for part in parts:
            in_progress.append(part)
            yield from plan_batches([part[1]], max(1, batch_size // manifest.frames))

    pin = encoder.device.type == "cuda"
    written: Future[None] | None = None
    with (
        decode_batches(
            manifest, root, encoder.preprocess, batches(), workers=run.workers, pin=pin, keep_in=run.pixels
        ) as decoded,
        ThreadPoolExecutor(1, "shard-writer") as background,
    ):
        while (batch := next(decoded, None)) is not None:
            number, rows = in_progress.popleft()
            features = np.full((len(rows), encoder.width), np.nan, dtype=cache.dtype)
            reasons: list[bytes] = []
            pending: tuple[np.ndarray, torch.Tensor] | None = None
            while True:
                _apply_policy(manifest, batch, cache)
                good = np.array([not error for error in batch.errors])
                places = len(reasons) + np.flatnonzero(good)
                encoded = places, encode_rows(encoder, batch.pixels, good, worker)
                if pending:
                    _fetch(manifest, features, rows, *pending, cache)
                pending = encoded
                reasons += [_reason(error) for error in batch.errors]
                worker.advance(number, len(batch.rows))
                if len(reasons) == len(rows):
                    break
                batch = next(decoded)
            _fetch(manifest, features, rows, *pending, cache)
            members = [manifest.rows[row] for row in rows]
            block = Block(
                number=number,
                first_row=rows.start,
                features=features,
                labels=np.array([row.label for row in members], dtype=np.int32),
                paths=tuple(os.fsencode(row.path) for row in members),
                errors=tuple(reasons),
            )
            if written:
                written.result()
            written = background.submit(keep, block)
        if written:
            written.result()


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
        path = manifest.rows[rows[wrong[0]]].path
        raise EncoderError(
            f"{manifest.name}: the features of {path!r} are not finite in {cache.dtype} ({wrong.size} rows of this "
            "batch). Use precision: fp32, or cache.dtype: float32 if they are only too large for half precision."
        )


def _reason(error: str) -> bytes:
    """A reason as the shard keeps it: short, and without the one byte that a fixed-width string cannot hold."""
    return error[:MAX_REASON].replace("\0", "\\0").encode("utf-8", "backslashreplace")
