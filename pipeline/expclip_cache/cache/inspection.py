"""What is in a feature cache, complete or not, as data."""

from collections import Counter
from pathlib import Path

import numpy as np

from expclip_cache.base import CacheError, DataError
from expclip_cache.cache.conditioning import needs_conditioning
from expclip_cache.cache.format import CONDITIONING, VERSION, Identity, Json
from expclip_cache.cache.index import read_index
from expclip_cache.cache.layout import layout_of
from expclip_cache.cache.shard import ShardEntry
from expclip_cache.cache.stored_manifest import read_stored_manifest
from expclip_cache.cache.stores.store import Store, store_at


def inspect_cache(place: Path | str) -> dict[str, Json]:
    """Describe a cache by reading as little as possible; `verify` checks its bytes.

    A complete cache is described by its index and one listing; if it has classes, the headers and labels of its shards
    are read too. An incomplete one is described by the headers, labels and errors of its shards.

    Returns:
        JSON values: `complete`, `rows` (of the finished shards while the cache is incomplete), `width`,
        `dtype`, `labels` by class name, `shards`, `bytes`, `skipped`, `settings`, `encoder`, `fingerprint`,
        `libraries`, and `problems` in words.

    Raises:
        CacheError: there is no index and no readable shard.
    """
    store = store_at(place)
    sizes = store.sizes()
    problems: list[str] = []
    try:
        index = read_index(store)
    except CacheError as error:
        problems.append(str(error))
        return _described_by_shards(store, sorted(name for name in sizes if name.startswith("shard-")), problems)
    return _described_by_index(store, index, sizes)


def _described_by_index(store: Store, index: Json, sizes: dict[str, int]) -> dict[str, Json]:
    problems: list[str] = []
    there = []
    for record in index["shards"]:
        name = record["name"]
        if sizes.get(name) == record["bytes"]:
            there.append(name)
        elif name in sizes:
            problems.append(f"{store.path(name)}: is {sizes[name]} bytes long, the index recorded {record['bytes']}.")
        else:
            problems.append(f"{store.path(name)}: is missing.")
    classes = index["classes"]
    labels = _read_labels(store, there, problems) if classes else Counter({-1: index["rows"]})
    identity = Identity(index["settings"], index["encoder"])
    if needs_conditioning(identity) and CONDITIONING not in sizes:
        problems.append(f"{store.path(CONDITIONING)}: is missing.")
    return _description(store, identity, problems) | {
        "complete": not problems,
        "rows": index["rows"],
        "labels": _by_name(labels, classes),
        "shards": len(there),
        "shards_planned": len(index["shards"]),
        "shard_rows": index["shard_rows"],
        "bytes": sum(sizes[name] for name in there),
        "skipped": index["skipped"],
        "libraries": index["libraries"],
    }


def _described_by_shards(store: Store, names: list[str], problems: list[str]) -> dict[str, Json]:
    if not names:
        raise CacheError(
            f"{store}: is not a feature cache: there is neither an index nor a shard in it. `expclip-cache extract` "
            "makes one from images."
        )
    entries, labels = _read_shards(store, names, problems)
    if not entries:
        raise CacheError(
            f"{store}: expected a feature cache, found no readable shard." + "".join(f"\n{p}" for p in problems)
        )
    identity = entries[0].identity
    if any(entry.identity != identity for entry in entries):
        problems.append(f"{store}: the shards were made with different settings; run `expclip-cache verify`.")
    return _description(store, identity, problems) | {
        "complete": False,
        "rows": sum(len(entry.rows) for entry in entries),
        "labels": _by_name(labels, _classes(store)),
        "shards": len(entries),
        "shards_planned": None,
        "shard_rows": max(len(entry.rows) for entry in entries),
        "bytes": sum(entry.record["bytes"] for entry in entries),
        "skipped": [item for entry in entries for item in entry.skipped],
        "libraries": sorted({entry.library for entry in entries}),
    }


def _description(store: Store, identity: Identity, problems: list[str]) -> dict[str, Json]:
    """What both kinds of description have in common."""
    return {
        "folder": str(store),
        "version": VERSION,
        "width": layout_of(identity).row_width,
        "dtype": identity.settings["dtype"],
        "settings": dict(identity.settings),
        "encoder": dict(identity.encoder),
        "fingerprint": identity.fingerprint,
        "problems": problems,
    }


def _read_labels(store: Store, names: list[str], problems: list[str]) -> Counter[int]:
    def counted(name: str) -> Counter[int] | CacheError:
        try:
            return _counted(store.skim(name).column("label"))
        except CacheError as error:
            return error

    labels: Counter[int] = Counter()
    for found in store.each(counted, names):
        if isinstance(found, CacheError):
            problems.append(str(found))
        else:
            labels.update(found)
    return labels


def _read_shards(store: Store, names: list[str], problems: list[str]) -> tuple[list[ShardEntry], Counter[int]]:
    def read(name: str) -> tuple[ShardEntry, Counter[int]] | CacheError:
        try:
            skimmed = store.skim(name)
            return skimmed.entry(), _counted(skimmed.column("label"))
        except CacheError as error:
            return error

    entries, labels = [], Counter()
    for found in store.each(read, names):
        if isinstance(found, CacheError):
            problems.append(str(found))
        else:
            entries.append(found[0])
            labels.update(found[1])
    return entries, labels


def _counted(labels: np.ndarray) -> Counter[int]:
    values, counts = np.unique(labels, return_counts=True)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _classes(store: Store) -> list[str]:
    """The class names, which an incomplete cache has only in its manifest."""
    try:
        manifest = read_stored_manifest(store)
    except (CacheError, DataError):
        return []
    return list(manifest.classes) if manifest else []


def _by_name(labels: Counter[int], classes: list[str]) -> dict[str, int]:
    def name(label: int) -> str:
        if label < 0:
            return "(no label)"
        return classes[label] if label < len(classes) else f"class {label}"

    return {name(label): labels[label] for label in sorted(labels)}
