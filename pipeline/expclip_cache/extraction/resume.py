"""What earlier runs left in a cache folder: keep it, refuse it by name, or have it made again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from expclip_cache.base import CacheError, Reporter
from expclip_cache.cache import (
    INDEX,
    MANIFEST,
    FeatureCache,
    Identity,
    Json,
    ShardEntry,
    Store,
    differences,
    shard_name,
)


@dataclass(frozen=True)
class Asked:
    """What a cache must have been made with to be kept.

    Attributes:
        weights: gives their SHA-256 where it is known without loading the encoder. Asked only when there is something
            to compare with: hashing the weights of a large model takes minutes.
        plan: the rows of each shard.
    """

    settings: Mapping[str, Json]
    weights: Callable[[], str | None]
    plan: Sequence[range]
    shard_rows: int


def open_index(store: Store, report: Reporter) -> FeatureCache | None:
    """The cache, if its index is there and sound. A damaged index is removed: the shards prove themselves."""
    if store.size(INDEX) is None:
        return None
    try:
        return FeatureCache(store)
    except CacheError as error:
        report.say(f"{error} Checking every shard instead.")
        store.remove(INDEX)
        return None


def has_every_shard(cache: FeatureCache) -> bool:
    """Whether all files are there and as long as recorded; their bytes are checked by readers and by `verify`."""
    sizes = cache.store.sizes()
    return all(sizes.get(record["name"]) == record["bytes"] for record in cache.index["shards"])


def whole_shards(store: Store, numbers: Iterable[int], report: Reporter) -> dict[int, ShardEntry]:
    """The finished shards among `numbers`, each proved, see `Store.proved`."""
    there = store.sizes()

    def proved(number: int) -> ShardEntry | CacheError:
        try:
            return store.proved(shard_name(number))
        except CacheError as error:
            return error

    present = [number for number in numbers if shard_name(number) in there]
    found = {}
    for number, entry in zip(present, store.each(proved, present), strict=True):
        if isinstance(entry, CacheError):
            report.say(f"{entry} Making it again.")
        elif entry.number == number:
            found[number] = entry
        else:
            path = store.path(shard_name(number))
            report.say(f"{path}: is shard {entry.number} by its content. Making it again.")
    return found


def any_shard(store: Store) -> ShardEntry | None:
    """The first readable shard, whatever its number."""
    for name in sorted(name for name in store.sizes() if name.startswith("shard-")):
        try:
            return store.proved(name)
        except CacheError:
            continue
    return None


def mismatch_of_index(cache: FeatureCache, asked: Asked) -> list[str]:
    """In what a complete cache differs from what is asked for, in words."""
    return _mismatch(cache.identity, cache.index["shard_rows"], asked)


def mismatch_of_shard(entry: ShardEntry, asked: Asked) -> list[str]:
    """In what a single shard differs from what is asked for, in words."""
    number, rows = entry.number, entry.rows
    fits = number < len(asked.plan) and asked.plan[number] == rows
    # All shards but the last are full, so the place of any of them tells how the rows were cut.
    cut = rows.start // number if number else len(rows)
    return _mismatch(entry.identity, asked.shard_rows if fits else cut, asked)


def refuse(out: Store, changed: Sequence[str]) -> None:
    """Raise the error for a folder that holds something else.

    Raises:
        CacheError: always.
    """
    raise CacheError(
        f"{out}: holds features made with other settings; nothing was changed.\n  "
        + "\n  ".join(changed)
        + "\nChoose another output folder (or name), delete this one, or set cache.on_mismatch: replace."
    )


def refuse_other_encoder(out: Store, entries: Iterable[ShardEntry], identity: Identity) -> None:
    """Shards of one cache must come from the same weights.

    Raises:
        CacheError: one of them does not.
    """
    for entry in entries:
        changed = differences(entry.identity.encoder, identity.encoder)
        if changed:
            raise CacheError(
                f"{out}: {shard_name(entry.number)} was made with another encoder; nothing was changed.\n  "
                + "\n  ".join(changed)
                + "\nChoose another output folder, or delete this one."
            )


def remove_all(store: Store) -> None:
    """Delete the index, the manifest and every shard."""
    shards = {name for name in store.sizes() if name.startswith("shard-")} | store.waiting()
    for name in [INDEX, MANIFEST, *sorted(shards)]:
        store.remove(name)


def _mismatch(found: Identity, shard_rows: int, asked: Asked) -> list[str]:
    cached, wanted = dict(found.settings), dict(asked.settings)
    weights = asked.weights()
    if weights is not None:
        cached["weights_sha256"], wanted["weights_sha256"] = found.encoder.get("weights_sha256"), weights
    changed = differences(cached, wanted)
    # With other pictures the cut says nothing.
    if cached.get("manifest") == wanted.get("manifest") and shard_rows != asked.shard_rows:
        changed.append(f"shard_rows differs: cached {shard_rows}, asked {asked.shard_rows}")
    return changed
