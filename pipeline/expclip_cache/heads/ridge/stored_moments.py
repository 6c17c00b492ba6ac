"""A folder that keeps the moments of one pair of caches: the complete sums, or parts from several machines."""

from pathlib import Path

from expclip_cache.base import CacheError, Reporter, SettingsError
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_file import read_moments, write_moments
from expclip_cache.heads.ridge.shard_groups import GROUP_SHARDS, ShardGroups
from expclip_cache.heads.ridge.summing import sum_all_groups
from expclip_cache.workers import RunSettings

COMPLETE = "moments.safetensors"
PARTS = "part-*.safetensors"
"""The sums of one group each, named by the group's shards."""


def complete_moments(folder: Path, groups: ShardGroups, run: RunSettings, report: Reporter) -> Moments:
    """The complete moments: read what the folder has, sum the other groups, keep the total.

    Parts that other processes or machines left there (`sum_part`) are used. Files of other features or settings are
    reported and removed. The result has the same bits in every case.

    Raises:
        CacheError, LostWorkerError: see `sum_all_groups`.
    """
    stored: dict[int, Path] = {}
    total = None
    files = [*folder.glob(COMPLETE), *sorted(folder.glob(PARTS))]
    for path in files:
        try:
            moments, held = read_moments(path, groups.fingerprint)
        except CacheError as error:
            report.say(f"{error} Not used.")
            continue
        if path.name == COMPLETE and held == range(len(groups)):
            total = moments
            break
        stored[held.start] = path
    if total is None:
        total = sum_all_groups(groups, run, report, stored)
        write_moments(folder / COMPLETE, total, range(len(groups)), groups.fingerprint)
    for path in files:
        if path.name != COMPLETE:
            path.unlink()
    return total


def sum_part(folder: Path, groups: ShardGroups, shards: range, report: Reporter) -> list[Path]:
    """Sum some shards and leave one file per group in the folder, for `complete_moments` to use.

    A file that is there already is kept, so a part that was stopped resumes.

    Args:
        shards: whole groups: from a multiple of `GROUP_SHARDS` to another one or to the last shard.

    Returns:
        The files of the part.

    Raises:
        CacheError: a shard is missing or damaged.
        SettingsError: the caches have no such shards, or these are not whole groups.
    """
    count = len(groups.images.shards)
    if shards.stop > count:
        raise SettingsError(
            f"shards {shards.start}:{shards.stop}: expected a part of 0:{count}, which are all shards there are."
        )
    part = range(shards.start // GROUP_SHARDS, -(-shards.stop // GROUP_SHARDS))
    whole = range(part.start * GROUP_SHARDS, min(part.stop * GROUP_SHARDS, count))
    if shards != whole:
        raise SettingsError(
            f"shards {shards.start}:{shards.stop}: sums are made over groups of {GROUP_SHARDS} shards, so a part must "
            f"start at a multiple of {GROUP_SHARDS} and end at one or at {count}, the number of shards. "
            f"Use {whole.start}:{whole.stop}."
        )
    paths = {group: folder / _part_name(groups.shards(group)) for group in part}
    todo = [group for group, path in paths.items() if not _is_stored(path, groups)]
    with report.bar(f"moments with {groups.targets}", sum(groups.rows(group) for group in todo), "image") as bar:
        for group in todo:
            sums = groups.sum(group, bar.advance)
            write_moments(paths[group], sums, range(group, group + 1), groups.fingerprint)
    return list(paths.values())


def _part_name(shards: range) -> str:
    return f"part-{shards.start}-{shards.stop}.safetensors"


def _is_stored(path: Path, groups: ShardGroups) -> bool:
    try:
        read_moments(path, groups.fingerprint)
    except CacheError:
        return False
    return True
