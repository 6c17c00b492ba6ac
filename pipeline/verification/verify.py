"""Prove a feature cache, or name every part of it that is broken; and remove the broken parts on request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import CacheError, DataError, ParamsError
from pipeline.lock import writing
from pipeline.manifest import Manifest, changed_rows, read_manifest
from pipeline.progress import Reporter
from pipeline.shards.index_file import read_index
from pipeline.shards.schema import INDEX, MANIFEST, Identity, shard_name
from pipeline.shards.shard import open_shard
from pipeline.verification.agreement import Known, contradiction


@dataclass(frozen=True)
class Finding:
    """One part of a cache and what is wrong with it.

    Attributes:
        part: file name, or what else was looked at.
        rows: rows it holds; 0 where that means nothing.
        bytes: on disk.
        problem: empty if the part is sound.
        removable: whether deleting the file makes the next extraction mend it.
    """

    part: str
    rows: int = 0
    bytes: int = 0
    problem: str = ""
    removable: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a verification found."""

    folder: Path
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[Finding]:
        """The parts with a problem."""
        return [finding for finding in self.findings if finding.problem]


def verify_cache(
    folder: Path,
    report: Reporter,
    manifest: Manifest | None = None,
    images: Path | None = None,
    sample: int | None = None,
) -> Verdict:
    """Read every byte of a cache, complete or not, and hold all its parts against each other.

    Checked: the index and its checksum; of each shard its checksum, place, settings, shape, that each row has either
    finite features or a recorded error, and that paths and labels are the manifest's; that every row is there once;
    and, with `images`, that the pictures still are what the manifest recorded.

    Args:
        manifest: by default the one in the folder, if there is one.
        images: root of the raw data, to be read and compared with the manifest.
        sample: compare only so many rows of the raw data, spread evenly.

    Raises:
        CacheError: `folder` holds no cache at all.
        ParamsError: `images` is given, and there is no manifest to compare it with.
    """
    if not (folder / INDEX).exists() and not any(folder.glob("shard-*.h5")):
        raise CacheError(f"{folder}: expected a feature cache, found neither {INDEX} nor a shard.")
    known, findings = Known(manifest=manifest), []
    if manifest is None and (folder / MANIFEST).exists():
        findings.append(_own_manifest(folder / MANIFEST, known))
    if images is not None and known.manifest is None:
        raise ParamsError(f"{folder}: {images} is to be compared with a manifest, and there is none. Give --manifest.")
    findings.append(_index(folder, known))
    numbers, whole = _numbers(folder, known), []
    with report.bar(f"verifying {folder}", len(numbers), "shard") as bar:
        for number in numbers:
            finding, rows = _shard(folder / shard_name(number), number, known)
            findings.append(finding)
            whole.append(rows)
            bar.advance(1)
    findings += _coverage(known, whole)
    if images is not None:
        findings.append(_raw_data(known.manifest, images, sample, report))
    return Verdict(folder, tuple(findings))


def repair(verdict: Verdict) -> list[str]:
    """Delete the broken parts, so that the next extraction makes them and nothing else.

    Returns:
        The names of the files that are gone: broken ones, and the index with any of them.

    Raises:
        CacheError: an extraction is writing to the folder.
    """
    names = [finding.part for finding in verdict.broken if finding.removable]
    if not names:
        return []
    with writing(verdict.folder):
        present = [name for name in dict.fromkeys([INDEX, *names]) if _exists(verdict.folder / name)]
        for name in present:
            (verdict.folder / name).unlink()
    return present


def _own_manifest(path: Path, known: Known) -> Finding:
    try:
        known.manifest = read_manifest(path)
    except DataError as error:
        return Finding(path.name, problem=str(error), removable=True)
    return Finding(path.name, len(known.manifest.rows), path.stat().st_size)


def _index(folder: Path, known: Known) -> Finding:
    path = folder / INDEX
    if not _exists(path):
        return Finding(INDEX, problem="missing: the cache is incomplete")
    try:
        index = read_index(folder)
    except CacheError as error:
        return Finding(INDEX, problem=str(error).removeprefix(f"{path}: "), removable=True)
    known.index, known.identity = index, Identity(index["settings"], index["encoder"])
    finding, manifest = Finding(INDEX, index["rows"], path.stat().st_size), known.manifest_of(known.identity)
    if manifest and (index["rows"], index["classes"]) != (len(manifest.rows), list(manifest.classes)):
        return replace(finding, problem="its rows or classes are not the manifest's", removable=True)
    return finding


def _numbers(folder: Path, known: Known) -> Sequence[int]:
    """The shards that should be there, or are."""
    found = {int(path.stem[6:]) for path in folder.glob("shard-*.h5") if path.stem[6:].isdecimal()}
    return sorted(found.union(range(len(known.index["shards"])) if known.index else ()))


def _shard(path: Path, number: int, known: Known) -> tuple[Finding, range]:
    """What there is to say of a shard, and the rows it holds if it is sound."""
    if not _exists(path):
        return Finding(path.name, problem="missing", removable=True), range(0)
    size = path.lstat().st_size
    try:
        shard = open_shard(path)
        shard.check_rows()
    except CacheError as error:
        return Finding(path.name, 0, size, str(error).removeprefix(f"{path}: "), removable=True), range(0)
    problem = contradiction(shard, number, known)
    if problem:
        # Without an index nobody knows which of two shards that contradict each other is the wrong one.
        return Finding(path.name, len(shard.rows), size, problem, removable=known.index is not None), range(0)
    known.identity = known.identity or shard.identity
    return Finding(path.name, len(shard.rows), size), shard.rows


def _coverage(known: Known, whole: Sequence[range]) -> list[Finding]:
    """Whether the sound shards hold every row once."""
    manifest, identity = known.manifest, known.identity
    if manifest and identity and not known.manifest_of(identity):
        cached = identity.settings["manifest"]
        return [Finding("manifest", len(manifest.rows), 0, f"cached {cached[:12]}..., given {manifest.sha256[:12]}...")]
    if manifest is None and known.index is None:
        return []
    times = np.zeros(len(manifest.rows) if manifest else known.index["rows"], dtype=np.int64)
    for rows in whole:
        times[rows.start : rows.stop] += 1
    wrong = np.flatnonzero(times != 1)
    problem = (
        f"{len(wrong)} of {len(times)} rows are not in one sound shard, from row {wrong[0]} on" if len(wrong) else ""
    )
    return [Finding("all rows", len(times), 0, problem)]


def _raw_data(manifest: Manifest, images: Path, sample: int | None, report: Reporter) -> Finding:
    rows = np.arange(len(manifest.rows))
    if sample is not None and sample < len(rows):
        rows = np.unique(np.linspace(0, len(rows) - 1, sample).round().astype(int))
    with report.bar(f"comparing {images}", len(rows), "row") as bar:
        changed = changed_rows(manifest, images, rows.tolist(), bar.advance)
    names = ", ".join(repr(manifest.rows[row].path) for row in changed[:3]) + " ..." * (len(changed) > 3)
    problem = f"{len(changed)} rows are not what was listed: {names}" if changed else ""
    return Finding(str(images), len(rows), 0, problem)


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()
