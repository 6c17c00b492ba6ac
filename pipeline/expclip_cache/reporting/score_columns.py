"""Columns of the terminal's tables of scores; each row has two lines."""

from collections.abc import Sequence

from expclip_cache.reporting.text_table import Column
from expclip_cache.statistics import Interval, SystemScores


def set_column(rows: Sequence[SystemScores]) -> Column:
    """The test set above its items, beside the first of its rows."""
    lines = []
    for number, row in enumerate(rows):
        if number and rows[number - 1].test_set == row.test_set:
            lines += ["", ""]
        elif row.test_set:
            lines += [row.test_set, f"{row.items} items" + (f" (+{row.skipped})" if row.skipped else "")]
        else:
            lines += ["mean", ""]
    return Column("test set", lines, "left")


def uar_column(header: str, rows: Sequence[SystemScores]) -> Column:
    """UAR of each row above its interval or, under a head, above the gain and its interval."""
    cells = []
    for row in rows:
        cells.append(f"{row.uar:.1f}" + (f" ±{row.uar_std:.1f}" if row.seeds > 1 else ""))
        gain = row.gain_interval
        cells.append(f"{row.gain:+.1f} {span(gain)}" if gain else span(row.intervals.uar))
    return Column(header, cells, "score")


def span(interval: Interval) -> str:
    """An interval in brackets, with one decimal."""
    return f"[{interval.low:.1f}, {interval.high:.1f}]"
