"""The long part of an extraction: decode the rows of the missing shards, encode them, hand over full shards.

Nobody waits for anybody: pictures are decoded ahead in worker processes, the encoder has its next batch before the
results of the last are fetched, and a full shard is written while the next one is encoded.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from pipeline.encoders.device import device_name
from pipeline.errors import DataError, EncoderError
from pipeline.extraction.decoding import Batch, decoding, plan_batches
from pipeline.extraction.encoding import encode_rows
from pipeline.extraction.job import Encoder, Job
from pipeline.params import CacheParams, RunParams
from pipeline.progress import Reporter
from pipeline.shards.schema import Block

LONGEST_REASON = 500
"""Characters kept of why a picture could not be read; some libraries quote the file."""


def encode_shards(
    job: Job,
    encoder: Encoder,
    width: int,
    parts: Sequence[tuple[int, range]],
    cache: CacheParams,
    run: RunParams,
    report: Reporter,
    keep: Callable[[Block], None],
) -> None:
    """Encode shard after shard.

    Args:
        width: of the features.
        parts: number and rows of each shard.
        keep: called with each shard as soon as it is full.

    Raises:
        DataError: a picture cannot be read and `cache.on_bad_image` is `fail`; or a decoding worker died or hung.
        EncoderError: a feature is not finite, or one picture does not fit into memory.
    """
    manifest, frames = job.manifest, job.manifest.frames
    batches = plan_batches([rows for _, rows in parts], max(1, run.batch_size // frames))
    workers, pin = min(run.workers, len(batches)), encoder.device.type == "cuda"
    total = sum(len(rows) for _, rows in parts)
    written: Future | None = None
    with (
        decoding(manifest, job.root(), encoder.preprocess, batches, workers=workers, pin=pin) as decoded,
        report.bar(f"{job.out} on {device_name(encoder.device)}", total, "clip" if frames > 1 else "image") as bar,
        ThreadPoolExecutor(1, "shard-writer") as background,
    ):
        for number, rows in parts:
            features = np.full((len(rows), width), np.nan, dtype=cache.dtype)
            reasons: list[bytes] = []
            last: tuple[np.ndarray, torch.Tensor] | None = None
            while len(reasons) < len(rows):
                batch = next(decoded)
                _apply_policy(job, batch, cache)
                good = np.array([not error for error in batch.errors])
                places = len(reasons) + np.flatnonzero(good)
                started = places, encode_rows(encoder, batch.pixels, good, report)
                if last:
                    _fetch(job, features, rows, *last, cache)
                last = started
                reasons += [_reason(error) for error in batch.errors]
                bar.advance(len(batch.rows))
            _fetch(job, features, rows, *last, cache)
            members = [manifest.rows[row] for row in rows]
            labels = np.array([row.label for row in members], dtype=np.int32)
            paths = tuple(os.fsencode(row.path) for row in members)
            if written:
                written.result()
            written = background.submit(keep, Block(number, rows.start, features, labels, paths, tuple(reasons)))
        if written:
            written.result()


def _fetch(
    job: Job, features: np.ndarray, rows: range, places: np.ndarray, encoded: torch.Tensor, cache: CacheParams
) -> None:
    """Put the encoded rows in their places; waits for the device."""
    # Too large for float16 becomes infinite, which is refused by name just below.
    with np.errstate(over="ignore"):
        features[places] = encoded.cpu().numpy()
    _refuse_infinite(job, features[places], places + rows.start, cache)


def _apply_policy(job: Job, batch: Batch, cache: CacheParams) -> None:
    for row, error in zip(batch.rows, batch.errors, strict=True):
        if error and cache.on_bad_image == "fail":
            raise DataError(
                f"{job.manifest.name}: {job.manifest.rows[row].path!r} (row {row}) cannot be read: {error}. "
                "Mend or remove it, or set cache.on_bad_image: skip to record it and go on; finished shards are kept."
            )


def _refuse_infinite(job: Job, features: np.ndarray, rows: np.ndarray, cache: CacheParams) -> None:
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if wrong.size:
        path = job.manifest.rows[rows[wrong[0]]].path
        raise EncoderError(
            f"{job.manifest.name}: the features of {path!r} are not finite in {cache.dtype} ({wrong.size} rows of this "
            "batch). Use precision: fp32, or cache.dtype: float32 if they are only too large for half precision."
        )


def _reason(error: str) -> bytes:
    """A reason as the shard keeps it: short, and without the one byte that a fixed-width string cannot hold."""
    return error[:LONGEST_REASON].replace("\0", "\\0").encode("utf-8", "backslashreplace")
