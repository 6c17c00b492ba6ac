"""Verify every byte of a feature cache, name every broken part, and delete the broken parts on request."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from expclip_cache.base import CacheError, DataError, Reporter, SettingsError, UntouchableCacheError
from expclip_cache.cache.agreement import Known, contradiction
from expclip_cache.cache.conditioning import read_conditioning
from expclip_cache.cache.format import CONDITIONING, INDEX, MANIFEST, OLD_MANIFEST, Identity, shard_name
from expclip_cache.cache.index import read_index
from expclip_cache.cache.lock import writing
from expclip_cache.cache.stored_manifest import manifest_sha256, read_stored_manifest
from expclip_cache.cache.stores.store import Store, store_at
from expclip_cache.datasets import Manifest, Root, changed_rows, check_manifest, require_folder


@dataclass(frozen=True)
class Finding:
    """One part of a cache and what is wrong with it.

    Attributes:
        part: file name, or what else was checked.
        rows: rows in it; 0 where that means nothing.
        bytes: on disk.
        problem: empty if the part is intact.
        removable: whether deleting the file makes the next extraction repair it.
    """

    part: str
    rows: int = 0
    bytes: int = 0
    problem: str = ""
    removable: bool = False


@dataclass(frozen=True)
class Verification:
    """The result of verifying a cache."""

    store: Store
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[Finding]:
        """The parts with a problem."""
        return [finding for finding in self.findings if finding.problem]


def verify_cache(
    place: Path | str,
    report: Reporter,
    manifest: Manifest | None = None,
    images: Root | None = None,
    sample: int | None = None,
) -> Verification:
    """Read every byte of a cache, complete or not, and compare all its parts with each other.

    Checked are the index and its checksum; of each shard its checksum, number, settings and shape, that each row has
    either finite features or a recorded error, and that paths and labels are the manifest's; that every row is there
    exactly once; and, with `images`, that the images still are what the manifest recorded.

    Args:
        place: folder or address of the cache.
        manifest: by default the one in the cache, if there is one.
        images: folder or address of the raw images, to be read and compared with the manifest.
        sample: bounds the work, whatever the size of the cache: only so many shards, and so many rows of the raw
            images, are read, both spread evenly. Of the other shards only presence and length are checked, by one
            listing; of the cache's own manifest only the header, unless `images` needs its rows.

    Raises:
        CacheError: neither an index nor a shard is there.
        DataError: `images` is not a folder.
        SettingsError: `images` is given, and there is no manifest to compare it with.
    """
    store = store_at(place)
    sizes = store.sizes()
    _require_cache(store, sizes)
    if images is not None:
        require_folder(images, "raw images", "Correct the path.")
    known, findings = Known(manifest=manifest), list[Finding]()
    skim_manifest = sample is not None and images is None
    stored = None if manifest else next((name for name in (MANIFEST, OLD_MANIFEST) if name in sizes), None)
    if stored and not skim_manifest:
        findings.append(_own_manifest(store, stored, known, sizes))
    if images is not None and known.manifest is None:
        raise SettingsError(
            f"{store}: {images} is to be compared with a manifest, but the cache has none. Give --manifest."
        )
    findings.append(_index(store, known, sizes))
    findings += _conditioning(store, known)
    if stored and skim_manifest and known.identity:
        findings.append(_manifest_header(store, stored, known.identity, sizes))
    numbers = _numbers(known, sizes)
    chosen = set(spread(numbers, sample))
    whole = [_unread(number, known, sizes) for number in numbers if number not in chosen]
    with report.bar(f"verifying {store}", len(chosen), "shard") as bar:
        for result in store.each(lambda number: _shard(store, number, known, sizes), sorted(chosen)):
            whole.append(result)
            bar.advance(1)
    findings += [finding for finding, _ in whole if finding]
    findings += _coverage(known, [rows for _, rows in whole])
    if len(chosen) < len(numbers):
        findings.append(Finding(f"a sample: {len(chosen)} of {len(numbers)} shards read"))
    if images is not None and known.manifest is not None:
        findings.append(_raw_data(known.manifest, images, sample, report))
    return Verification(store, tuple(findings))


def spread(numbers: Sequence[int], count: int | None) -> list[int]:
    """`count` of the numbers, spread evenly, with the first and the last among them; None for all.

    >>> spread(range(10), 3)
    [0, 4, 9]
    """
    if count is None or count >= len(numbers):
        return list(numbers)
    return [numbers[place] for place in np.unique(np.linspace(0, len(numbers) - 1, count).round().astype(int)).tolist()]


def repair(
    place: Path | str,
    report: Reporter,
    manifest: Manifest | None = None,
    images: Root | None = None,
    sample: int | None = None,
) -> tuple[Verification, list[str]]:
    """Verify a cache and delete its broken parts, so that the next extraction makes them and nothing else.

    Both happen under the lock of a writer: what was judged is what is deleted.

    Args:
        place, manifest, images, sample: see `verify_cache`.

    Returns:
        What was found, and the names of the deleted files: broken ones, and the index if there are any.

    Raises:
        CacheError: an extraction is writing to the folder, the folder cannot be written to, or neither an index nor a
            shard is there.
        DataError, SettingsError: see `verify_cache`.
    """
    store = store_at(place)
    _require_cache(store, store.sizes())
    with writing(store.folder), store.leased(None):
        found = verify_cache(place, report, manifest, images, sample)
        names = [finding.part for finding in found.broken if finding.removable]
        there = store.sizes()
        deleted = [name for name in dict.fromkeys([INDEX, *names]) if name in there] if names else []
        for name in deleted:
            store.remove(name)
    return found, deleted


def _require_cache(store: Store, sizes: Mapping[str, int]) -> None:
    if INDEX not in sizes and not any(name.startswith("shard-") for name in sizes):
        raise CacheError(f"{store}: expected a feature cache, found neither {INDEX} nor a shard.")


def _own_manifest(store: Store, name: str, known: Known, sizes: Mapping[str, int]) -> Finding:
    try:
        manifest = read_stored_manifest(store, fresh=True)
        assert manifest is not None
        check_manifest(manifest, store.path(name))
    except (DataError, CacheError) as error:
        return Finding(name, problem=str(error), removable=True)
    known.manifest = manifest
    return Finding(name, len(manifest.rows), sizes[name])


def _conditioning(store: Store, known: Known) -> list[Finding]:
    """Of the weights that condition texts, if there are to be some."""
    try:
        content = read_conditioning(store, known.identity) if known.identity else None
    except CacheError as error:
        problem = str(error).removeprefix(f"{store.path(CONDITIONING)}: ")
        return [Finding(CONDITIONING, problem=problem, removable=not isinstance(error, UntouchableCacheError))]
    return [Finding(CONDITIONING, bytes=len(content))] if content is not None else []


def _manifest_header(store: Store, name: str, identity: Identity, sizes: Mapping[str, int]) -> Finding:
    """The manifest by its header, which states its hash."""
    same = manifest_sha256(store) == identity.settings["manifest"]
    wrong = "" if same else "its header is not that of this cache's manifest"
    return Finding(name, 0, sizes[name], wrong, removable=bool(wrong))


def _index(store: Store, known: Known, sizes: Mapping[str, int]) -> Finding:
    if INDEX not in sizes:
        return Finding(INDEX, problem="missing: the cache is incomplete")
    try:
        index = read_index(store)
    except CacheError as error:
        problem = str(error).removeprefix(f"{store.path(INDEX)}: ")
        return Finding(INDEX, problem=problem, removable=not isinstance(error, UntouchableCacheError))
    known.index, known.identity = index, Identity(index["settings"], index["encoder"])
    finding, manifest = Finding(INDEX, index["rows"], sizes[INDEX]), known.manifest_of(known.identity)
    if manifest and (index["rows"], index["classes"]) != (len(manifest.rows), list(manifest.classes)):
        return replace(finding, problem="its rows or classes are not the manifest's", removable=True)
    return finding


def _numbers(known: Known, sizes: Mapping[str, int]) -> Sequence[int]:
    """The shards that are there, or should be."""
    found = {int(digits) for name in sizes if (digits := name[len("shard-") : -len(".h5")]).isdecimal()}
    found = {number for number in found if shard_name(number) in sizes}
    return sorted(found.union(range(len(known.index["shards"])) if known.index else ()))


def _shard(store: Store, number: int, known: Known, sizes: Mapping[str, int]) -> tuple[Finding, range]:
    """What was found about a shard, and its rows if it is intact."""
    name = shard_name(number)
    if name not in sizes:
        return Finding(name, problem="missing", removable=True), range(0)
    size = sizes[name]
    try:
        with store.opened(name) as shard:
            shard.check_rows()
            problem, rows, identity = contradiction(shard, number, known), shard.rows, shard.identity
    except CacheError as error:
        problem = str(error).removeprefix(f"{store.path(name)}: ")
        return Finding(name, 0, size, problem, removable=not isinstance(error, UntouchableCacheError)), range(0)
    if problem:
        # Without an index it is unknown which of two contradicting shards is the wrong one.
        return Finding(name, len(rows), size, problem, removable=known.index is not None), range(0)
    known.identity = known.identity or identity
    return Finding(name, len(rows), size), rows


def _unread(number: int, known: Known, sizes: Mapping[str, int]) -> tuple[Finding | None, range | None]:
    """What the listing alone tells about a shard: a finding if it is broken, and its expected rows, if known."""
    name = shard_name(number)
    if name not in sizes:
        return Finding(name, problem="missing", removable=True), range(0)
    if known.index is None:
        return None, None
    if number >= len(known.index["shards"]):
        return Finding(name, 0, sizes[name], "is not in the index", removable=True), range(0)
    record = known.index["shards"][number]
    if sizes[name] != record["bytes"]:
        problem = f"is {sizes[name]} bytes long, the index recorded {record['bytes']}"
        return Finding(name, 0, sizes[name], problem, removable=True), range(0)
    return None, range(record["first_row"], record["first_row"] + record["rows"])


def _coverage(known: Known, whole: Sequence[range | None]) -> list[Finding]:
    """Whether the intact shards hold every row once; nothing if some are unread and no index lists their rows."""
    manifest, identity = known.manifest, known.identity
    if manifest and identity and not known.manifest_of(identity):
        cached = identity.settings["manifest"]
        return [Finding("manifest", len(manifest.rows), 0, f"cached {cached[:12]}..., given {manifest.sha256[:12]}...")]
    if (manifest is None and known.index is None) or None in whole:
        return []
    total = len(manifest.rows) if manifest else known.index["rows"]
    wrong, first = _not_once([rows for rows in whole if rows is not None], total)
    problem = f"{wrong} of {total} rows are not in exactly one intact shard, from row {first} on" if wrong else ""
    return [Finding("all rows", total, 0, problem)]


def _not_once(parts: Sequence[range], total: int) -> tuple[int, int]:
    """How many of the rows 0 to `total` are not in exactly one part, and the first of these rows."""
    changes = Counter(part.start for part in parts if part)
    changes.subtract(part.stop for part in parts if part)
    wrong, first, times = 0, total, 0
    for start, stop in pairwise(sorted({0, total, *changes})):
        times += changes[start]
        if times != 1 and start < total:
            wrong, first = wrong + min(stop, total) - start, min(first, start)
    return wrong, first


def _raw_data(manifest: Manifest, images: Root, sample: int | None, report: Reporter) -> Finding:
    rows = spread(range(len(manifest.rows)), sample)
    with report.bar(f"comparing {images}", len(rows), "row") as bar:
        changed = changed_rows(manifest, images, rows, bar.advance)
    names = ", ".join(repr(manifest.rows[row].path) for row in changed[:3]) + " ..." * (len(changed) > 3)
    problem = f"{len(changed)} rows are not what the manifest recorded: {names}" if changed else ""
    return Finding(str(images), len(rows), 0, problem)
