"""Run a frozen encoder over a manifest once and cache what it says: plan, resume, run, record failures."""

import functools
from collections.abc import Sequence

from expclip_cache.base import CacheError, DataError, Reporter, SettingsError
from expclip_cache.cache import (
    INDEX,
    MANIFEST,
    CacheSettings,
    Claim,
    FeatureCache,
    Folder,
    ShardEntry,
    Store,
    plan_shards,
    shard_name,
    store_at,
    write_index,
    writing,
)
from expclip_cache.datasets import HEADER_BYTES, recorded_sha256, write_manifest
from expclip_cache.extraction.jobs import Job
from expclip_cache.extraction.make_shards import make_shards
from expclip_cache.extraction.resume import (
    Asked,
    any_shard,
    has_every_shard,
    mismatch_of_index,
    mismatch_of_shard,
    open_index,
    refuse,
    refuse_other_encoder,
    remove_all,
    whole_shards,
)
from expclip_cache.workers import RunSettings


def extract(
    job: Job, cache: CacheSettings, run: RunSettings, report: Reporter, only: range | None = None
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
        CacheError: another run writes the same shards; or the folder cannot be written to; or it holds features made
            with other settings and `cache.on_mismatch` is `refuse`.
        DataError: a picture cannot be read and `cache.on_bad_image` is `fail`; or a decoding worker died.
        EncoderError: the encoder cannot be loaded or run.
        SettingsError: `only` is no part of the plan.
    """
    settings = job.settings | {"dtype": cache.dtype, "manifest": job.manifest.sha256}
    plan = plan_shards(len(job.manifest.rows), cache.shard_rows)
    mine = _part(only, plan)
    asked = Asked(settings, functools.cache(job.weights), plan, cache.shard_rows)
    store = store_at(job.out)
    with writing(store.folder, only) as claim, store.leased(only):
        store.remove_temporaries([shard_name(number) for number in mine])
        with claim.index():
            store.remove_temporaries([INDEX, MANIFEST])
            complete = _complete(store, asked, cache, claim, report)
        done = {} if complete else _keep_or_replace(store, mine, asked, cache, claim, report)
        with claim.index():
            _keep_manifest(job, store)
        if complete:
            report.say(f"{job.out}: complete, {complete.rows} rows; nothing to do")
            return complete
        todo = [number for number in mine if number not in done]
        if len(todo) < len(mine):
            report.say(f"{job.out}: {len(mine) - len(todo)} of {len(mine)} shards are there already")
        if todo:
            make_shards(
                job, store, claim, settings, {number: plan[number] for number in todo}, done, cache, run, report
            )
        others = whole_shards(store, (number for number in range(len(plan)) if number not in mine), report)
        for entry in others.values():
            if changed := mismatch_of_shard(entry, asked):
                raise CacheError(
                    f"{job.out}: this part is done, but {shard_name(entry.number)}: {'; '.join(changed)}. "
                    "All parts need the same settings: delete that shard and make it again with these."
                )
        done |= others
        if len(done) < len(plan):
            missing = len(plan) - len(done)
            report.say(f"{job.out}: this part is done; {missing} of {len(plan)} shards are still to be made")
            return None
        with claim.index():
            _finish(job, store, [done[number] for number in range(len(plan))], cache.shard_rows)
    finished = FeatureCache(store)
    if finished.skipped:
        report.say(f"{job.out}: {len(finished.skipped)} of {finished.rows} rows could not be read; see {INDEX}")
    return finished


def _part(only: range | None, plan: Sequence[range]) -> range:
    if only is None:
        return range(len(plan))
    if not 0 <= only.start < only.stop <= len(plan):
        raise SettingsError(
            f"shards {only.start}:{only.stop}: expected a part of 0:{len(plan)}, which is all there are."
        )
    return only


def _complete(store: Store, asked: Asked, cache: CacheSettings, claim: Claim, report: Reporter) -> FeatureCache | None:
    """The cache, if it is complete and as asked for; else its index is gone, and so is all of it if it is replaced."""
    found = open_index(store, report)
    if found is None:
        return None
    if changed := mismatch_of_index(found, asked):
        _replace(store, changed, cache, claim, report)
    elif has_every_shard(found):
        return found
    store.remove(INDEX)
    return None


def _keep_or_replace(
    store: Store, mine: range, asked: Asked, cache: CacheSettings, claim: Claim, report: Reporter
) -> dict[int, ShardEntry]:
    """The finished shards of this part; none if what is there was made with other settings and is replaced."""
    waiting = store.waiting()
    left = whole_shards(Folder(store.folder), [n for n in mine if shard_name(n) in waiting], report)
    done = whole_shards(store, [number for number in mine if number not in left], report) | left
    sample = list(done.values()) or [entry for entry in [any_shard(store)] if entry]
    for entry in sample:
        if changed := mismatch_of_shard(entry, asked):
            _replace(store, changed, cache, claim, report)
            return {}
    for number in sorted(left):
        store.put(shard_name(number))
    return done


def _replace(store: Store, changed: list[str], cache: CacheSettings, claim: Claim, report: Reporter) -> None:
    if cache.on_mismatch == "refuse":
        refuse(store, changed)
    if not claim.whole:
        raise CacheError(
            f"{store}: holds features made with other settings ({'; '.join(changed)}), and replacing them would take "
            "shards from under the other parts. Delete the folder first, or run once without a part."
        )
    report.say(f"{store}: replacing features made with other settings: " + "; ".join(changed))
    remove_all(store)


def _keep_manifest(job: Job, store: Store) -> None:
    """Put the manifest beside the shards, so that a cache, finished or not, can be verified on its own."""
    there = store.size(MANIFEST)
    if not there or recorded_sha256(store.read(MANIFEST, 0, min(there, HEADER_BYTES))) != job.manifest.sha256:
        write_manifest(job.manifest, store.folder / MANIFEST)
        store.put(MANIFEST)


def _finish(job: Job, store: Store, entries: Sequence[ShardEntry], shard_rows: int) -> None:
    """Write the index from what the shards say about themselves."""
    identity = entries[0].identity
    refuse_other_encoder(store, entries, identity)
    skipped = [item for entry in entries for item in entry.skipped]
    if len(skipped) == len(job.manifest.rows):
        raise DataError(
            f"{job.manifest.name}: not one of its {len(job.manifest.rows)} rows could be read; the first, "
            f"{skipped[0]['path']!r}: {skipped[0]['reason']}."
        )
    write_index(
        store.folder,
        identity,
        [entry.record for entry in entries],
        skipped,
        rows=len(job.manifest.rows),
        shard_rows=shard_rows,
        classes=job.manifest.classes,
        libraries=sorted({entry.library for entry in entries}),
    )
    store.put(INDEX)
