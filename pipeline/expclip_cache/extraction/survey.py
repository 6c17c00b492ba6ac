"""Survey: look once at what is stored where a cache is to be; nothing is changed."""

from collections.abc import Iterable
from dataclasses import dataclass

from expclip_cache.base import CacheError, UntouchableCacheError
from expclip_cache.cache import INDEX, FeatureCache, Folder, ShardEntry, Store, shard_name
from expclip_cache.encoders import recorded_commits


@dataclass(frozen=True)
class Survey:
    """What earlier runs left.

    Attributes:
        index: the cache, if its index is there and intact; its shards may be missing all the same.
        complete: whether every shard of the index is there and as long as recorded. Readers and `verify` check bytes.
        shards: finished shards of the part surveyed, each proved intact, by number; not looked at if complete.
        unsent: those of them that still have to be put to a remote store.
        sample: some intact shard of another part, if this part has none.
        damage: what is there but cannot be used, in words.
    """

    index: FeatureCache | None = None
    complete: bool = False
    shards: dict[int, ShardEntry] | None = None
    unsent: frozenset[int] = frozenset()
    sample: ShardEntry | None = None
    damage: tuple[str, ...] = ()

    @property
    def commits(self) -> tuple[str, ...]:
        """Of the repositories on the hub that the features were made from, as the index or the first shard says."""
        libraries = [*(self.index.libraries if self.index else ()), *(entry.library for entry in self.entries)]
        return recorded_commits(libraries[0]) if libraries else ()

    @property
    def entries(self) -> list[ShardEntry]:
        """Every shard that was proved."""
        return [*(self.shards or {}).values(), *([self.sample] if self.sample else [])]


def survey(store: Store, part: range, retry_skipped: bool = False) -> Survey:
    """Look at the index; unless it says that the cache is complete, at every shard of a part too.

    Args:
        part: numbers of shards.
        retry_skipped: whether a cache with skipped rows counts as incomplete.

    Raises:
        UntouchableCacheError: a later version has written here, or a file cannot be read at the moment.
    """
    index, damage = None, []
    if store.size(INDEX) is not None:
        try:
            index = FeatureCache(store)
        except UntouchableCacheError:
            raise
        except CacheError as error:
            damage.append(f"{error} Checking every shard instead.")
    if index and index.has_every_shard() and not (retry_skipped and index.skipped):
        return Survey(index=index, complete=True)
    waiting = store.waiting()
    left, unreadable = proved_shards(Folder(store.folder), [n for n in part if shard_name(n) in waiting])
    stored, damaged = proved_shards(store, [number for number in part if number not in left])
    shards = stored | left
    return Survey(
        index=index,
        shards=shards,
        unsent=frozenset(left),
        sample=None if shards else _any_shard(store),
        damage=(*damage, *unreadable, *damaged),
    )


def proved_shards(store: Store, numbers: Iterable[int]) -> tuple[dict[int, ShardEntry], list[str]]:
    """The finished shards among `numbers`, each proved (see `Store.proved`), and what is wrong with the others."""
    there = store.sizes()

    def proved(number: int) -> ShardEntry | CacheError:
        try:
            return store.proved(shard_name(number))
        except CacheError as error:
            return error

    present = [number for number in numbers if shard_name(number) in there]
    found, damage = {}, []
    for number, entry in zip(present, store.each(proved, present), strict=True):
        if isinstance(entry, UntouchableCacheError):
            raise entry
        if isinstance(entry, CacheError):
            damage.append(f"{entry} Encoding it again.")
        elif entry.number == number:
            found[number] = entry
        else:
            path = store.path(shard_name(number))
            damage.append(f"{path}: contains shard {entry.number}, not {number}. Encoding it again.")
    return found, damage


def _any_shard(store: Store) -> ShardEntry | None:
    """The first intact shard, whatever its number."""
    for name in sorted(name for name in store.sizes() if name.startswith("shard-")):
        try:
            return store.proved(name)
        except UntouchableCacheError:
            raise
        except CacheError:
            continue
    return None
