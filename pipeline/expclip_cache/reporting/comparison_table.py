"""The comparison with published scores as a csv file and as a terminal table."""

import csv
import io
from collections.abc import Sequence

from rich.table import Table

from expclip_cache.reporting.comparison import Comparison, Pair

_DIFFERENCES = (("clip", "paper_clip"), ("expclip", "paper_expclip"), ("expclip", "log"))


def comparison_csv(rows: Sequence[Comparison]) -> str:
    """Every row with all its numbers, in percent and points; a cell is empty if its value is unknown.

    `log_difference_uar` is ours minus the log's; the other differences likewise.
    """
    records = [_record(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _record(row: Comparison) -> dict[str, str | int | None]:
    record: dict[str, str | int | None] = {
        "backbone": row.backbone,
        "test_set": row.test_set,
        "part": row.part,
        "prompt_type": row.prompt_type,
        "head": row.head,
        "items": row.n,
        "published_items": row.published_n,
    }
    pairs = {name: getattr(row, name) for name in ("clip", "expclip", "paper_clip", "paper_expclip", "log")}
    pairs |= {f"{theirs}_difference": _difference(row, ours, theirs) for ours, theirs in _DIFFERENCES}
    for name, pair in pairs.items():
        record[f"{name}_uar"], record[f"{name}_war"] = _cells(pair)
    record["emocapclip_uar"] = _cells(row.later)[0]
    return record


def _difference(row: Comparison, ours: str, theirs: str) -> Pair | None:
    published = getattr(row, theirs)
    return published and getattr(row, ours).minus(published)


def _cells(pair: Pair | None) -> tuple[str, str]:
    return ("", "") if pair is None else (f"{pair.uar:.3f}", "" if pair.war is None else f"{pair.war:.3f}")


def comparison_to_terminal(rows: Sequence[Comparison]) -> Table:
    """The rows with published scores, UAR/WAR in percent; a column for the kind of head only if there are several."""
    shown = [row for row in rows if row.is_published]
    backbones = ", ".join(sorted({row.backbone for row in shown if row.backbone}))
    several = len({row.head for row in shown}) > 1
    table = Table(title=f"Published results for {backbones} and ours, UAR/WAR in percent")
    table.add_column("test set", no_wrap=True)
    for name in ("type", "head", "items", "CLIP", "paper", "Exp-CLIP", "paper", "log", "ours - log"):
        if name != "head" or several:
            table.add_column(name, justify="right", no_wrap=True)
    previous = None
    for row in shown:
        if previous not in (None, row.test_set):
            table.add_section()
        table.add_row(
            "" if previous == row.test_set else f"{row.test_set}{', fold mean' * (row.part == 'fold mean')}",
            f"{row.prompt_type}",
            *([row.head] if several else []),
            f"{row.n}" if row.n == row.published_n else f"{row.n} of {row.published_n}",
            _words(row.clip),
            _words(row.paper_clip),
            _words(row.expclip),
            _words(row.paper_expclip),
            _words(row.log),
            _words(_difference(row, "expclip", "log"), "+.2f"),
        )
        previous = row.test_set
    table.caption = (
        "type: prompt type; items: scored items, and of how many if the published scores cover another number"
    )
    return table


def _words(pair: Pair | None, form: str = ".2f") -> str:
    if pair is None:
        return "-"
    return f"{pair.uar:{form}}" if pair.war is None else f"{pair.uar:{form}}/{pair.war:{form}}"
