"""Run a frozen encoder over manifests once and cache its features: survey, decide, do."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache as remembered

from expclip_cache.base import EncoderError, ExpclipError, Reporter, SettingsError
from expclip_cache.cache import CacheSettings, FeatureCache
from expclip_cache.extraction.encode_missing import encode_missing
from expclip_cache.extraction.job_run import JobRun
from expclip_cache.extraction.jobs import Job, RequestedEncoder
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
    return _run([job], cache, run, report, part)[0].cache


def run_jobs(jobs: Sequence[Job], cache: CacheSettings, run: RunSettings, report: Reporter) -> list[FeatureCache]:
    """The same for several datasets: one set of workers, which load the encoder once.

    Each cache is what `run_job` would make of it, bit for bit, and it is complete as soon as its own shards are. A
    dataset that cannot be encoded is named at once, and the error is raised when the others are done. Jobs of different
    encoders are done one encoder after another.

    Returns:
        The complete caches, in the order of the jobs.

    Raises:
        CacheError, DataError, EncoderError: see `run_job`. If several caches cannot be made, one error gives every
            reason: of the class that they have in common, or else an ExpclipError.
        SettingsError: two jobs have the same cache.
    """
    (place, count), *_ = Counter(str(job.out) for job in jobs).most_common(1) or [("", 0)]
    if count > 1:
        raise SettingsError(f"{place}: is the cache of {count} jobs. Give each dataset a cache of its own.")
    finished = [done.cache for done in _run(jobs, cache, run, report)]
    return [complete for complete in finished if complete is not None]


def _run(
    jobs: Sequence[Job], cache: CacheSettings, run: RunSettings, report: Reporter, part: range | None = None
) -> list[JobRun]:
    encoders: dict[bytes, RequestedEncoder] = {}
    for job in jobs:
        encoders.setdefault(job.encoder.key, _asked_once(job.encoder))
    runs = [JobRun(job, encoders[job.encoder.key], cache, part, report) for job in jobs]
    with ExitStack() as unlocked_at_the_end:
        for each in runs:
            unlocked_at_the_end.push(each.__exit__)
            try:
                each.begin()
            except ExpclipError as error:
                each.fail(error, others=len(runs) > 1)
        for each in runs:
            if each.is_open and not each.decision.encode:
                each.finish(others=len(runs) > 1)
        for encoder in encoders.values():
            _encode([each for each in runs if each.encoder is encoder], runs, cache, run, report)
    if failures := [each.failure for each in runs if each.failure]:
        raise _together(failures, len(runs))
    return runs


def _encode(
    runs: Sequence[JobRun], all_runs: Sequence[JobRun], cache: CacheSettings, run: RunSettings, report: Reporter
) -> None:
    """Make what is missing of one encoder's caches; an encoder that cannot be loaded does not stop the others."""
    left = [each for each in runs if each.can_go_on]
    if not left:
        return
    try:
        encode_missing(left, cache, run, report)
    except EncoderError as error:
        if any(each.can_go_on for each in all_runs if each not in runs):
            report.say(f"an encoder cannot be used, the others go on: {error}")
        for each in left:
            if each.can_go_on:
                each.fail(error, others=False)


def _asked_once(encoder: RequestedEncoder) -> RequestedEncoder:
    """The same encoder, whose files are hashed and libraries looked up at most once, for all datasets."""
    return replace(encoder, files=remembered(encoder.files), libraries=remembered(encoder.libraries))


def _together(failures: Sequence[ExpclipError], count: int) -> ExpclipError:
    """One error for all caches that cannot be made; a reason that several have is given once."""
    reasons = {str(failure): failure for failure in failures}
    if len(reasons) == 1:
        return failures[0]
    classes = {type(reason) for reason in reasons.values()}
    common = classes.pop() if len(classes) == 1 else ExpclipError
    return common("\n".join([f"{len(failures)} of {count} caches cannot be made.", *reasons]))
