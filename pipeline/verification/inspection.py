"""What is in a feature cache, complete or not: as data for programs and as a table for people."""

from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.errors import CacheError, DataError
from pipeline.manifest import read_manifest
from pipeline.shards.index_file import read_index
from pipeline.shards.schema import MANIFEST, VERSION, Json
from pipeline.shards.shard import ShardEntry, open_shard
from pipeline.verification.verify import Finding, Verdict

SHOWN = 12
"""Lines of sound shards or skipped rows that a terminal is spared above this number."""


def inspect_cache(folder: Path) -> dict[str, Json]:
    """Describe a cache. Every shard is read and checked against its checksum, none against the others.

    Returns:
        What JSON can hold: `complete`, `rows` (of the finished shards while the cache is incomplete), `width`,
        `dtype`, `labels` by class name, `shards`, `bytes`, `skipped`, `settings`, `encoder`, `fingerprint`,
        `libraries`, and `problems` in words.

    Raises:
        CacheError: there is no index and no readable shard.
    """
    problems: list[str] = []
    entries, labels = _read_shards(folder, problems)
    try:
        index = read_index(folder)
    except CacheError as error:
        index = None
        problems.append(str(error))
    if not entries:
        raise CacheError(
            f"{folder}: expected a feature cache, found no readable shard." + "".join(f"\n{p}" for p in problems)
        )
    identity = entries[0].identity
    if any(entry.identity != identity for entry in entries):
        problems.append(f"{folder}: the shards were made with different settings; run verify.")
    return {
        "folder": str(folder),
        "version": VERSION,
        "complete": index is not None and len(index["shards"]) == len(entries) and not problems,
        "rows": index["rows"] if index else sum(len(entry.rows) for entry in entries),
        "width": identity.encoder["width"],
        "dtype": identity.settings["dtype"],
        "labels": _by_name(labels, _classes(folder, index)),
        "shards": len(entries),
        "shards_planned": len(index["shards"]) if index else None,
        "shard_rows": index["shard_rows"] if index else max(len(entry.rows) for entry in entries),
        "bytes": sum(entry.record["bytes"] for entry in entries),
        "skipped": [item for entry in entries for item in entry.skipped],
        "settings": dict(identity.settings),
        "encoder": dict(identity.encoder),
        "fingerprint": identity.fingerprint,
        "libraries": sorted({entry.library for entry in entries}),
        "problems": problems,
    }


def _read_shards(folder: Path, problems: list[str]) -> tuple[list[ShardEntry], Counter[int]]:
    entries, labels = [], Counter()
    for path in sorted(folder.glob("shard-*.h5")):
        try:
            shard = open_shard(path)
        except CacheError as error:
            problems.append(str(error))
            continue
        entries.append(shard.entry())
        values, counts = np.unique(shard.labels, return_counts=True)
        labels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    return entries, labels


def _classes(folder: Path, index: Json) -> list[str]:
    """The class names, which an incomplete cache has only in a manifest."""
    if index:
        return index["classes"]
    try:
        return list(read_manifest(folder / MANIFEST).classes)
    except DataError:
        return []


def _by_name(labels: Counter[int], classes: list[str]) -> dict[str, int]:
    def name(label: int) -> str:
        if label < 0:
            return "(no label)"
        return classes[label] if label < len(classes) else f"class {label}"

    return {name(label): labels[label] for label in sorted(labels)}


def description_to_terminal(found: dict[str, Json]) -> Group:
    """`inspect_cache`'s answer for a terminal."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    planned = found["shards_planned"]
    lines = {
        "cache": f"{found['folder']} ({'complete' if found['complete'] else 'INCOMPLETE'})",
        "features": f"{found['rows']:,} rows x {found['width']}, {found['dtype']}, raw (not L2-normalised)",
        "shards": f"{found['shards']:,}{'' if planned in (None, found['shards']) else f' of {planned:,}'}, "
        f"up to {found['shard_rows']:,} rows each, {found['bytes']:,} bytes",
        "labels": ", ".join(f"{name} {count:,}" for name, count in found["labels"].items()),
        **{key: str(value) for key, value in found["settings"].items()},
        **{key: str(value) for key, value in found["encoder"].items() if value is not None},
        "made with": "; ".join(found["libraries"]),
        "fingerprint": found["fingerprint"],
        "unreadable rows": f"{len(found['skipped']):,}",
    }
    for key, value in lines.items():
        table.add_row(key, Text(value))
    skipped = [Text(f"  row {item['row']}: {item['path']!r}: {item['reason']}") for item in found["skipped"][:SHOWN]]
    if len(found["skipped"]) > SHOWN:
        skipped.append(Text(f"  ... and {len(found['skipped']) - SHOWN:,} more; --json lists all"))
    problems = [Text(f"problem: {problem}", style="red") for problem in found["problems"]]
    return Group(table, *skipped, *problems)


def verdict_to_terminal(verdict: Verdict) -> Table:
    """A verification for a terminal; many sound shards share a line."""
    table = Table(title=Text(str(verdict.folder)))
    table.add_column("part", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    sound = [finding for finding in verdict.findings if finding.part.endswith(".h5") and not finding.problem]
    fold = len(sound) > SHOWN
    for finding in verdict.findings:
        if not (fold and finding in sound):
            table.add_row(*_cells(finding))
    if fold:
        total = Finding(f"{len(sound):,} shards", sum(f.rows for f in sound), sum(f.bytes for f in sound))
        table.add_row(*_cells(total))
    return table


def _cells(finding: Finding) -> tuple[Text, ...]:
    verdict = Text(finding.problem, style="red") if finding.problem else Text("sound", style="green")
    counts = (f"{finding.rows:,}" if finding.rows else "", f"{finding.bytes:,}" if finding.bytes else "")
    return (Text(finding.part), Text(counts[0]), Text(counts[1]), verdict)
