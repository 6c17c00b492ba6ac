"""A table for a paper as a table of GitHub's Markdown."""

import re

from expclip_cache.reporting.paper_table.content import Number, PaperTable
from expclip_cache.reporting.paper_table.text_lines import headings, text_lines


def to_markdown(table: PaperTable) -> str:
    """The table with a line for each backbone above its systems, and the caption below it."""
    head = [_escaped(heading) for heading in headings(table)]
    sides = [":--", *("--:" for _ in head[1:])]
    rows = [head, sides]
    for block in table.blocks:
        rows.append([f"*{_escaped(block.backbone)}*", *("" for _ in head[1:])])
        for line in block.lines:
            for name, *cells in text_lines(line, table, lambda number: _number(number, table.decimals), "-"):
                rows.append([_escaped(name), *cells])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _escaped(" ".join(table.caption)), ""])


def _number(number: Number, decimals: int) -> str:
    """`**57.0**† ±1.2 [55.6, 58.4]`, as far as it is known."""
    value = f"{number.value:.{decimals}f}"
    shown = (f"**{value}**" if number.best else value) + "†" * number.covers
    if number.std is not None:
        shown += f" ±{number.std:.{decimals}f}"
    if number.interval:
        shown += f" [{number.interval.low:.{decimals}f}, {number.interval.high:.{decimals}f}]"
    return shown


def _escaped(text: str) -> str:
    """Text in which no character means anything to Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", text)
