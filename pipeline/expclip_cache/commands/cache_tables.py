"""What `inspect` and `verify` found, for a terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.base import printable
from expclip_cache.cache import Finding, Json, Verification
from expclip_cache.datasets import ManifestRow

SHOWN = 12
"""Lines of intact shards or skipped rows beyond which a terminal gets a summary."""


def description_to_terminal(found: dict[str, Json]) -> Group:
    """The result of `inspect_cache`."""
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
    table = _key_value_table(lines)
    skipped = [_text(f"  row {item['row']}: {item['path']!r}: {item['reason']}") for item in found["skipped"][:SHOWN]]
    if len(found["skipped"]) > SHOWN:
        skipped.append(_text(f"  ... and {len(found['skipped']) - SHOWN:,} more; --json lists all"))
    problems = [_text(f"problem: {problem}", style="red") for problem in found["problems"]]
    return Group(table, *skipped, *problems)


def manifest_to_terminal(found: dict[str, Json], first: Sequence[ManifestRow]) -> Group:
    """The result of `describe_manifest`, and the first rows."""
    labels = [f"{name} {count:,}" for name, count in found["classes"].items()]
    lines = {
        "manifest": f"of {found['name']}",
        "rows": f"{found['rows']:,}, of {found['frames']} file{'s' * (found['frames'] > 1)} each, "
        f"{found['bytes']:,} bytes",
        "labels": ", ".join([*labels, f"none {found['without_label']:,}"] if found["without_label"] else labels),
        "unreadable rows": f"{found['unreadable']:,}",
        "boxes": "one for each file" if found["boxes"] else "none: whole images",
        **{key: found[key] for key in ("short_clip", "appearance") if key in found},
        **{"note" + " " * number: note for number, note in enumerate(found["notes"])},
        "sha256": found["sha256"],
    }
    names = dict(enumerate(found["classes"]))
    rows = [_text(f"  row {number}: {row.path!r} {names.get(row.label, '')}") for number, row in enumerate(first)]
    if found["rows"] > len(first):
        rows.append(_text(f"  ... and {found['rows'] - len(first):,} more; --rows prints all"))
    return Group(_key_value_table(lines), *rows)


def _key_value_table(lines: Mapping[str, str]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in lines.items():
        table.add_row(key.strip(), _text(value))
    return table


def verification_to_terminal(verification: Verification) -> Table:
    """The result of `verify_cache`; many intact shards share a line."""
    table = Table(title=_text(str(verification.store)))
    table.add_column("part", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("result", overflow="fold")
    intact = [finding for finding in verification.findings if _is_intact_shard(finding)]
    fold = len(intact) > SHOWN
    for finding in verification.findings:
        if not (fold and _is_intact_shard(finding)):
            table.add_row(*_cells(finding))
    if fold:
        total = Finding(f"{len(intact):,} shards", sum(f.rows for f in intact), sum(f.bytes for f in intact))
        table.add_row(*_cells(total))
    return table


def _is_intact_shard(finding: Finding) -> bool:
    return finding.part.endswith(".h5") and not finding.problem


def _cells(finding: Finding) -> tuple[Text, ...]:
    result = _text(finding.problem, style="red") if finding.problem else _text("intact", style="green")
    counts = (f"{finding.rows:,}" if finding.rows else "", f"{finding.bytes:,}" if finding.bytes else "")
    return (_text(finding.part), _text(counts[0]), _text(counts[1]), result)


def _text(text: str, style: str = "") -> Text:
    """Text that may come from files that others wrote."""
    return Text(printable(text), style=style)
