"""One feature for each clip, from the cache of a backbone that has kept those of every frame; no image is encoded.

Survey and decision are those of an extraction (`job_run.py`): what is complete and as requested stays, a run that was
ended goes on shard by shard, and features of other frames are replaced or refused.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from expclip_cache.base import (
    CacheError,
    EncoderError,
    Reporter,
    SettingsError,
    SilentReporter,
    UntouchableCacheError,
    build,
)
from expclip_cache.cache import INDEX, Block, CacheSettings, FeatureCache, Json, manifest_of, store_at
from expclip_cache.datasets import Manifest
from expclip_cache.encoders import KINDS, ClipSettings
from expclip_cache.extraction.frame_poolings import FRAME_POOLINGS, FramePooling
from expclip_cache.extraction.job_run import JobRun
from expclip_cache.extraction.jobs import Job, RequestedEncoder, clip_encoder, keeps_frames
from expclip_cache.extraction.recorded_clip import recorded_clip
from expclip_cache.extraction.temporal_model import temporal_pooling

NUMBERS = 1 << 24
"""Numbers of the frames that are pooled at once, at most."""


def pool_frames(
    frames: FeatureCache,
    by: str,
    out: Path | str,
    cache: CacheSettings | None = None,
    device: str = "auto",
    report: Reporter | None = None,
) -> FeatureCache:
    """Pool the features of every clip's frames into one feature, or vector for vector where an image has several.

    Nothing is done where `out` holds this already; no library is imported then. Labels, paths and skipped rows are
    those of the frames.

    Args:
        frames: of a backbone with `pool: none`.
        by: `first`, `mean`, `max` or `attention`, see `frame_poolings`, or `temporal`, the backbone's own model.
        out: folder or address of the cache.
        cache: what to do about other features that are there; rows per shard and dtype are those of the frames.
        device: where a temporal model runs, see `RunSettings.device`.
        report: hears what is done; by default nobody does.

    Returns:
        The complete cache: (n, q * d), raw, in the frames' dtype.

    Raises:
        CacheError: `frames` has not kept frames or is damaged; `out` holds features made with other settings or from
            other frames, and the cache settings say to refuse them; or it cannot be written.
        EncoderError: the temporal model cannot be loaded, or is not the one whose frames these are.
        SettingsError: the kind of model has no temporal model.
    """
    report = report or SilentReporter()
    clip, commits = recorded_clip([frames])
    manifest = _manifest(frames)
    if by == "temporal" and not KINDS[clip.kind].temporal:
        raise SettingsError(
            f"{frames}: kind {clip.kind} has no temporal model. Pool by {', '.join(FRAME_POOLINGS)} instead."
        )
    clip = build(ClipSettings, **{**clip.model_dump(), "pool": by})
    encoder = _pooled(clip, frames)
    settings = (cache or CacheSettings()).model_copy(
        update={
            "shard_rows": frames.shard_rows,
            "dtype": frames.dtype.name,
            "retry_skipped": _skips_what_frames_have(out, frames),
        }
    )
    job = Job(manifest, lambda: frames.store.folder, encoder, out)
    run = JobRun(job, encoder, settings, None, report)
    with ExitStack() as unlocked_at_the_end:
        unlocked_at_the_end.push(run.__exit__)
        run.begin()
        if run.is_open:
            pooling = FRAME_POOLINGS.get(by) or temporal_pooling(encoder, frames, commits, device)
            _make_shards(run, frames, pooling, by, report)
            run.finish(others=False)
    if run.failure:
        raise run.failure
    return run.cache or FeatureCache(out)


def _make_shards(run: JobRun, frames: FeatureCache, pooling: FramePooling, by: str, report: Reporter) -> None:
    """Write the missing shards; shard k holds the same rows as that of the frames."""
    library = ", ".join(dict.fromkeys(part for each in frames.libraries for part in each.split(", ")))
    writer = run.writer.shard_writer(frames.identity.encoder, library)
    count = frames.layout.frames
    title = f"{run.job.out}: {by} of {count} frame{'s' if count > 1 else ''}"
    rows = [frames.shards[number] for number in run.decision.encode]
    with report.bar(title, sum(map(len, rows)), "clip") as bar:
        for number in run.decision.encode:
            run.writer.record(writer.write(_block(frames, run.job.manifest, number, pooling)))
            bar.advance(len(frames.shards[number]))


def _block(frames: FeatureCache, manifest: Manifest, number: int, pooling: FramePooling) -> Block:
    layout, rows = frames.layout, frames.shards[number]
    good = np.array([row for row in rows if row not in frames.skipped], dtype=np.int64)
    pooled = np.full((len(rows), layout.vectors * layout.width), np.nan, dtype=frames.dtype)
    step = max(1, NUMBERS // layout.row_width)
    for part in (good[start : start + step] for start in range(0, len(good), step)):
        features = frames[part].astype(np.float32).reshape(len(part), layout.frames, layout.vectors, layout.width)
        # Too large for float16 becomes infinite, which is refused by name just below.
        with np.errstate(over="ignore"):
            found = pooling(features, frames.logit_scale).reshape(len(part), -1).astype(frames.dtype)
        if not np.isfinite(found).all():
            row = part[~np.isfinite(found).all(axis=1)][0]
            raise EncoderError(
                f"{frames}: the pooled features of {manifest.rows[row].path!r} are not finite in {frames.dtype}. Keep "
                "the frames with cache.dtype: float32."
            )
        pooled[part - rows.start] = found
    members = manifest.rows[rows.start : rows.stop]
    return Block(
        number=number,
        first_row=rows.start,
        features=pooled,
        labels=np.array([row.label for row in members], dtype=np.int32),
        paths=tuple(os.fsencode(row.path) for row in members),
        errors=tuple(frames.skipped.get(row, "").encode() for row in rows),
    )


def _pooled(clip: ClipSettings, frames: FeatureCache) -> RequestedEncoder:
    """What the pooled features depend on: the pooling, what made the frames, and the files of a temporal model."""
    encoder, facts = clip_encoder(clip), dict(frames.identity.encoder)

    def files(commits: Sequence[str]) -> Mapping[str, Json]:
        here = encoder.files(commits) if clip.pool == "temporal" else None
        return facts | dict(here or {})

    return replace(encoder, settings=clip.pooled_settings(), files=files)


def _manifest(frames: FeatureCache) -> Manifest:
    if frames.layout.comparison != "best-vector":
        kind = frames.identity.settings.get("kind")
        raise CacheError(
            f"{frames}: kind {kind} puts the frames of a clip together by itself: nothing is left to pool."
        )
    if not keeps_frames(frames.identity.settings):
        pool = frames.identity.settings.get("pool", "mean")
        raise CacheError(
            f"{frames}: expected the features of every frame (pool: none), found one feature for each clip (pool: "
            f"{pool}). Encode the clips with pool: none first."
        )
    if (manifest := manifest_of(frames)) is None:
        raise CacheError(
            f"{frames}: has no manifest of its rows, which the pooled features need. Encode the clips again."
        )
    return manifest


def _skips_what_frames_have(out: Path | str, frames: FeatureCache) -> bool:
    """Whether rows that are skipped in `out` have features by now: the frames were encoded again."""
    store = store_at(out)
    if store.size(INDEX) is None:
        return False
    try:
        return not FeatureCache(store).skipped.keys() <= frames.skipped.keys()
    except UntouchableCacheError:
        raise
    except CacheError:
        return False
