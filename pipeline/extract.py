"""Run a frozen encoder over a manifest once and cache what it says: plan, resume, run, record failures.

The only place that sees manifest, encoder and shards together.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.atomic import remove_temporaries
from pipeline.errors import CacheError, DataError, EncoderError, ParamsError
from pipeline.images import Preprocess
from pipeline.lock import writing
from pipeline.manifest import Manifest
from pipeline.params import CacheParams, RunParams
from pipeline.progress import Reporter
from pipeline.shards.reader import FeatureCache, open_shard
from pipeline.shards.schema import INDEX, Block, Identity, Json, differences, plan_shards, shard_name
from pipeline.shards.writer import file_digest, write_index, write_shard


class Encoder(Protocol):
    """A frozen image encoder, loaded."""

    preprocess: Preprocess
    device: "torch.device"  # noqa: F821 - torch is imported only where tensors are touched

    def describe(self) -> dict[str, Json]:
        """What only loading tells: `weights_sha256`, `width`, ... and `library` (said, no part of the identity)."""

    def encode_images(self, pixels: "torch.Tensor") -> "torch.Tensor":  # noqa: F821
        """(b, 3, h, w) uint8 -> (b, w) float32, raw."""


@dataclass(frozen=True)
class Job:
    """One extraction: whose pictures, what settings, into which folder.

    Attributes:
        settings: every setting of the encoder that changes a number, by name; known without loading it.
        weights: SHA-256 of the weights where they are at hand, else None; compared with a finished cache's.
        load: builds the encoder; called only if there is something to encode.
    """

    manifest: Manifest
    root: Callable[[], Path]
    settings: dict[str, Json]
    weights: Callable[[], str | None]
    load: Callable[[], Encoder]
    out: Path


def extract(
    job: Job, cache: CacheParams, run: RunParams, report: Reporter, only: range | None = None
) -> FeatureCache | None:
    """Fill the missing shards of a cache, then write its index; nothing to do if it is complete.

    Neither the raw data nor the encoder is touched for a complete cache. A run that ends early, however it ends,
    loses at most the shard in flight; the same call goes on from there. Processes and machines that share the folder
    may each do their part (`only`); the one that finds every shard finished writes the index.

    Args:
        only: the numbers of the shards to make here; all by default.

    Returns:
        The complete cache, or None while shards of other parts are missing.

    Raises:
        CacheError: another run writes the same shards; or the folder holds features made with other settings and
            `cache.on_mismatch` is `refuse`.
        DataError: a picture cannot be read and `cache.on_bad_image` is `fail`; or a decoding worker died.
        EncoderError: the encoder cannot be loaded or run.
    """
    settings = job.settings | {"dtype": cache.dtype, "manifest": job.manifest.sha256}
    plan = plan_shards(len(job.manifest.rows), cache.shard_rows)
    mine = _part(only, plan)
    with writing(job.out, mine):
        for name in [INDEX, *map(shard_name, mine)]:
            remove_temporaries(job.out / name)
        complete = _open_index(job.out, report)
        if _settle_mismatch(job, complete, settings, cache, report) and complete is not None:
            if all(_present(job.out, record) for record in complete.index["shards"]):
                report.say(f"{job.out}: complete, {complete.rows} rows; nothing to do")
                return complete
            (job.out / INDEX).unlink()

        def is_whole(number: int) -> bool:
            return _is_whole(job.out / shard_name(number), number, plan[number], settings, report)

        todo = [number for number in mine if not is_whole(number)]
        if len(todo) < len(mine):
            report.say(f"{job.out}: {len(mine) - len(todo)} of {len(mine)} shards are there already")
        if todo:
            encoder = job.load()
            said = encoder.describe()
            identity, library = Identity(settings, {k: v for k, v in said.items() if k != "library"}), said["library"]
            if job.settings["weights"] == "random":
                report.say(f"{job.out}: the weights are random, as asked: these features mean nothing")
            _refuse_other_weights(job.out, identity)
            _encode_shards(job, encoder, identity, library, [(k, plan[k]) for k in todo], cache, run, report)
        missing = [number for number in range(len(plan)) if number not in mine and not is_whole(number)]
        if missing:
            report.say(f"{job.out}: this part is done; {len(missing)} of {len(plan)} shards are still to be made")
            return None
        _finish(job, plan, cache.shard_rows)
    finished = FeatureCache(job.out)
    if finished.skipped:
        report.say(f"{job.out}: {len(finished.skipped)} of {finished.rows} rows could not be read; see {INDEX}")
    return finished


def _part(only: range | None, plan: Sequence[range]) -> range:
    if only is None:
        return range(len(plan))
    if not 0 <= only.start < only.stop <= len(plan):
        raise ParamsError(f"shards {only.start}:{only.stop}: expected a part of 0:{len(plan)}, which is all there are.")
    return only


def _encode_shards(
    job: Job,
    encoder: Encoder,
    identity: Identity,
    library: str,
    parts: Sequence[tuple[int, range]],
    cache: CacheParams,
    run: RunParams,
    report: Reporter,
) -> None:
    from pipeline.decoding import decode_batches, plan_batches
    from pipeline.encoders.device import device_name
    from pipeline.encoding import encode_rows

    manifest, frames = job.manifest, job.manifest.frames
    batches = plan_batches([rows for _, rows in parts], max(1, run.batch_size // frames))
    decoded = decode_batches(
        manifest,
        job.root(),
        encoder.preprocess,
        batches,
        workers=min(run.workers, len(batches)),
        pin=encoder.device.type == "cuda",
    )
    total = sum(len(rows) for _, rows in parts)
    with report.bar(f"{job.out} on {device_name(encoder.device)}", total, "clip" if frames > 1 else "image") as bar:
        for number, rows in parts:
            features = np.full((len(rows), identity.encoder["width"]), np.nan, dtype=cache.dtype)
            errors: list[bytes] = []
            while len(errors) < len(rows):
                batch = next(decoded)
                _apply_policy(batch, manifest, cache)
                good = np.array([not error for error in batch.errors])
                place = len(errors) + np.flatnonzero(good)
                features[place] = encode_rows(encoder, batch.pixels, good, report)
                _refuse_overflow(features[place], manifest, place + rows.start, cache)
                errors += [os.fsencode(error) for error in batch.errors]
                bar.advance(len(batch.rows))
            members = [manifest.rows[row] for row in rows]
            block = Block(
                number,
                rows.start,
                features,
                np.array([row.label for row in members], dtype=np.int32),
                tuple(os.fsencode(row.path) for row in members),
                tuple(errors),
            )
            write_shard(job.out, block, identity, library)


def _apply_policy(batch, manifest: Manifest, cache: CacheParams) -> None:
    for row, error in zip(batch.rows, batch.errors, strict=True):
        if error and cache.on_bad_image == "fail":
            raise DataError(
                f"{manifest.name}: {manifest.rows[row].path!r} (row {row}) cannot be read: {error}. Mend or remove it, "
                "or set cache.on_bad_image: skip to record it and go on; finished shards are kept."
            )


def _refuse_overflow(features: np.ndarray, manifest: Manifest, rows: np.ndarray, cache: CacheParams) -> None:
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if wrong.size:
        path = manifest.rows[rows[wrong[0]]].path
        raise EncoderError(
            f"{manifest.name}: the features of {path!r} are not finite in {cache.dtype} ({wrong.size} rows of this batch). "
            "Use precision: fp32, or cache.dtype: float32 if they are only too large for half precision."
        )


def _finish(job: Job, plan: Sequence[range], shard_rows: int) -> None:
    """Collect what the shards say about themselves and write the index."""
    manifest, records, skipped, libraries = job.manifest, [], [], set()
    for number, rows in enumerate(plan):
        path = job.out / shard_name(number)
        shard = open_shard(path)
        identity = shard.identity
        libraries.add(shard.library)
        records.append(
            {
                "name": path.name,
                "first_row": rows.start,
                "rows": len(rows),
                "bytes": path.stat().st_size,
                "xxh3_128": file_digest(path),
            }
        )
        skipped += [
            {
                "row": rows.start + int(place),
                "path": manifest.rows[rows.start + place].path,
                "reason": bytes(shard.errors[place]).decode("utf-8", "replace"),
            }
            for place in np.flatnonzero(shard.errors != b"")
        ]
    if len(skipped) == len(manifest.rows):
        raise DataError(
            f"{manifest.name}: not one of its {len(manifest.rows)} rows could be read; the first, "
            f"{skipped[0]['path']!r}: {skipped[0]['reason']}."
        )
    write_index(
        job.out,
        identity,
        records,
        skipped,
        rows=len(manifest.rows),
        shard_rows=shard_rows,
        classes=manifest.classes,
        libraries=sorted(libraries),
    )


def _open_index(out: Path, report: Reporter) -> FeatureCache | None:
    """The cache, if its index is there and sound. A damaged index is removed: the shards prove themselves."""
    if not (out / INDEX).exists():
        return None
    try:
        return FeatureCache(out)
    except CacheError as error:
        report.say(f"{error} Checking every shard instead.")
        (out / INDEX).unlink()
        return None


def _settle_mismatch(
    job: Job, complete: FeatureCache | None, settings: dict[str, Json], cache: CacheParams, report: Reporter
) -> bool:
    """Whether what lies in the folder was made with the same settings; if not, refuse or remove it."""
    identity = complete.identity if complete else _identity_of_shards(job.out)
    if identity is None:
        return True
    cached, asked = dict(identity.settings), dict(settings)
    weights = job.weights()
    if weights is not None:
        cached["weights_sha256"], asked["weights_sha256"] = identity.encoder.get("weights_sha256"), weights
    if complete:
        cached["shard_rows"], asked["shard_rows"] = complete.index["shard_rows"], cache.shard_rows
    changed = differences(cached, asked)
    if not changed:
        return True
    if cache.on_mismatch == "refuse":
        raise CacheError(
            f"{job.out}: holds features made with other settings; nothing was changed.\n  "
            + "\n  ".join(changed)
            + "\nChoose another output folder (or name), delete this one, or set cache.on_mismatch: replace."
        )
    report.say(f"{job.out}: replacing features made with other settings: " + "; ".join(changed))
    for path in [job.out / INDEX, *sorted(job.out.glob("shard-*.h5"))]:
        path.unlink(missing_ok=True)
    return False


def _identity_of_shards(out: Path) -> Identity | None:
    """What the first readable shard says it was made with; None if there is none."""
    for path in sorted(out.glob("shard-*.h5")):
        try:
            return open_shard(path).identity
        except CacheError:
            continue
    return None


def _is_whole(path: Path, number: int, rows: range, settings: dict[str, Json], report: Reporter) -> bool:
    """Whether a finished shard can be kept: same settings, same rows, every byte as written."""
    if not path.exists():
        return False
    try:
        shard = open_shard(path)
        shard.check_content(path)
    except CacheError as error:
        report.say(f"{error} Making it again.")
        return False
    same_cut = (shard.number, shard.first_row, len(shard.features)) == (number, rows.start, len(rows))
    if not same_cut or dict(shard.identity.settings) != settings:
        report.say(f"{path}: was cut from other rows. Making it again.")
        return False
    return True


def _refuse_other_weights(out: Path, identity: Identity) -> None:
    """Finished shards of the same settings must come from the same weights."""
    found = _identity_of_shards(out)
    changed = differences(found.encoder, identity.encoder) if found else []
    if changed:
        raise CacheError(
            f"{out}: holds shards made with another encoder; nothing was changed.\n  "
            + "\n  ".join(changed)
            + "\nChoose another output folder or delete this one."
        )


def _present(out: Path, record: Json) -> bool:
    path = out / record["name"]
    return path.is_file() and path.stat().st_size == record["bytes"]
