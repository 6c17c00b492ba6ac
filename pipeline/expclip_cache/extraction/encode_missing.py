"""Do: encode the missing shards of several caches and write them, by as many workers as there are, wherever they run.

Only numbers go to a worker, and only a shard's entry for the index comes back: images are read, and features written,
where the encoder is.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from expclip_cache.base import Reporter
from expclip_cache.cache import CacheSettings, canonical_json
from expclip_cache.extraction.job_run import JobRun
from expclip_cache.extraction.progress import NothingLeftError, Progress
from expclip_cache.extraction.tasks import ShardTask
from expclip_cache.extraction.worker import CacheToFill, EncodeShards
from expclip_cache.workers import RunSettings, execute


def encode_missing(runs: Sequence[JobRun], cache: CacheSettings, run: RunSettings, report: Reporter) -> None:
    """Make the shards that were decided on, and finish each cache as soon as all of its own are made.

    Args:
        runs: of one encoder, each with shards to make. What becomes of them is noted there.

    Raises:
        CacheError: a shard cannot be written, or workers have different encoders.
        EncoderError: the encoder cannot be loaded.
        LostWorkerError: workers or decoding processes died.
    """
    import torch

    from expclip_cache.workers import resolve_device, resolve_devices

    encoder = runs[0].encoder
    precision = encoder.settings["precision"]
    if precision != "fp32" and run.executor == "local" and resolve_device(run.device).type == "cpu":
        report.say(
            f"precision: {precision} on a CPU: fp32 is usually several times as fast there, and takes more memory"
        )
    if encoder.settings["weights"] == "random":
        for each in runs:
            report.say(f"{each.job.out}: the weights are random, as requested: these features mean nothing")
    work = EncodeShards(
        caches=tuple(map(cache_to_fill, runs)),
        tasks=shard_tasks(runs),
        load=partial(encoder.load, tuple(commit for each in runs for commit in each.commits)),
        settings=encoder.settings,
        cache=cache,
        run=run,
        threads=torch.get_num_threads(),
        modules=(*encoder.modules, "expclip_cache.extraction.encode_shards"),
    )
    with suppress(NothingLeftError), Progress(runs, work.tasks, report) as progress:
        execute(work, range(len(work.tasks)), run, partial(resolve_devices, run.device, run.processes), progress)


def shard_tasks(runs: Sequence[JobRun]) -> tuple[ShardTask, ...]:
    """Every missing shard, dataset by dataset."""
    missing = [(place, number) for place, each in enumerate(runs) for number in each.decision.encode]
    return tuple(
        ShardTask(task, place, number, runs[place].plan[number]) for task, (place, number) in enumerate(missing)
    )


def cache_to_fill(run: JobRun) -> CacheToFill:
    """What workers are told about one cache."""
    one_of_each = {canonical_json(entry.identity.encoder): entry for entry in run.there}
    return CacheToFill(
        root=run.root,
        store=run.writer.store,
        settings=run.decision.settings or run.writer.settings,
        there=tuple(one_of_each.values()),
        signature=run.writer.claim.signature,
        shared_with=run.job.shared_with,
    )
