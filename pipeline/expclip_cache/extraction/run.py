"""Run a frozen encoder over a manifest once and cache its features: survey, decide, do."""

from expclip_cache.base import CacheError, DataError, Reporter, SettingsError
from expclip_cache.cache import (
    INDEX,
    MANIFEST,
    CacheSettings,
    CacheWriter,
    FeatureCache,
    plan_shards,
    shard_name,
)
from expclip_cache.extraction.decide import Decision, Request, decide, other_libraries, shard_mismatch
from expclip_cache.extraction.encode_missing import encode_missing
from expclip_cache.extraction.jobs import Job
from expclip_cache.extraction.survey import proved_shards, survey
from expclip_cache.workers import RunSettings


def run_job(
    job: Job, cache: CacheSettings, run: RunSettings, report: Reporter, part: range | None = None
) -> FeatureCache | None:
    """Encode the missing shards of a cache, then write its index; nothing to do if it is complete.

    Neither the raw data nor the encoder is touched for a complete cache. A run that ends early, however it ends,
    loses at most the shards in flight; the same call resumes. Processes and machines that share the folder may each do
    their part; the one that finds every shard finished writes the index.

    Args:
        part: the numbers of the shards to make here; all by default.

    Returns:
        The complete cache, or None while shards of other parts are missing.

    Raises:
        CacheError: another run writes the same shards; the folder cannot be written to; or it holds features made with
            other settings, weights, code or libraries, and the cache settings say to refuse them.
        DataError: an image cannot be read and `cache.on_bad_image` is `fail`; a decoding worker died; or not one row
            could be read.
        EncoderError: the encoder cannot be loaded or run.
        SettingsError: `part` is not a part of the plan.
    """
    plan = plan_shards(len(job.manifest.rows), cache.shard_rows)
    numbers = range(len(plan)) if part is None else part
    if not 0 <= numbers.start < numbers.stop <= len(plan):
        raise SettingsError(f"shards {numbers.start}:{numbers.stop}: expected a part of 0:{len(plan)}.")
    with CacheWriter(
        job.out,
        manifest=job.manifest,
        settings=job.settings,
        shard_rows=cache.shard_rows,
        dtype=cache.dtype,
        part=part,
    ) as writer:
        found = survey(writer.store, numbers)
        request = Request(
            out=str(job.out),
            settings=writer.settings,
            # Hashing the weights of a large model takes minutes, and an empty folder has nothing to compare.
            weights=job.weights() if found.index or found.entries else None,
            libraries=job.libraries(),
            plan=plan,
            shard_rows=cache.shard_rows,
            part=numbers,
            whole=part is None,
            on_mismatch=cache.on_mismatch,
            on_other_library=cache.on_other_library,
        )
        decision = decide(found, request)
        for note in (*found.damage, *decision.notes):
            report.say(note)
        prepare(decision, writer)
        if decision.complete and found.index:
            report.say(f"{job.out}: complete, {len(found.index)} rows; nothing to do")
            return found.index
        if kept := len(numbers) - len(decision.encode):
            report.say(f"{job.out}: {kept} of {len(numbers)} shards are there already")
        if decision.encode:
            encode_missing(job, writer, decision, plan, found.entries, cache, run, report)
        if part is not None:
            record_other_parts(writer, request, report)
        if missing := len(plan) - len(writer.recorded):
            report.say(f"{job.out}: this part is done; {missing} of {len(plan)} shards are still to be made")
            return None
        refuse_all_skipped(job, writer)
        finished = writer.finish()
    if finished and finished.skipped:
        report.say(f"{job.out}: {len(finished.skipped)} of {len(finished)} rows could not be read; see {INDEX}")
    return finished


def prepare(decision: Decision, writer: CacheWriter) -> None:
    """Bring the place of a cache to the state in which its missing shards can be added."""
    store = writer.store
    if decision.replace:
        shards = {name for name in store.sizes() if name.startswith("shard-")} | store.waiting()
        for name in [INDEX, MANIFEST, *sorted(shards)]:
            store.remove(name)
    if decision.drop_index:
        with writer.claim.index():
            store.remove(INDEX)
    for number in decision.send:
        store.put(shard_name(number))
    for entry in (decision.keep or {}).values():
        writer.record(entry)
    writer.put_manifest()


def record_other_parts(writer: CacheWriter, request: Request, report: Reporter) -> None:
    """Count the shards that others have finished.

    Raises:
        CacheError: one of them was made with other settings, or under library versions that are refused.
    """
    others, damage = proved_shards(writer.store, (n for n in range(len(request.plan)) if n not in request.part))
    for note in damage:
        report.say(note)
    for entry in others.values():
        if changed := shard_mismatch(entry, request):
            raise CacheError(
                f"{request.out}: this part is done, but {shard_name(entry.number)}: {'; '.join(changed)}. "
                "All parts need the same settings: delete that shard and make it again with these."
            )
        writer.record(entry)
    for note in other_libraries([entry.library for entry in others.values()], request):
        report.say(note)


def refuse_all_skipped(job: Job, writer: CacheWriter) -> None:
    """A cache without a single feature is not worth an index.

    Raises:
        DataError: not one row could be read.
    """
    skipped = [item for number in sorted(writer.recorded) for item in writer.recorded[number].skipped]
    if len(skipped) == len(job.manifest.rows):
        raise DataError(
            f"{job.manifest.name}: not one of its {len(skipped)} rows could be read; the first, "
            f"{skipped[0]['path']!r}: {skipped[0]['reason']}."
        )
