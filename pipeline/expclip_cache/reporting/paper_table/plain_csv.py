"""A table for a paper as a csv file: a line for each system, plain numbers."""

from collections.abc import Iterator

from expclip_cache.base import csv_text
from expclip_cache.reporting.paper_table.content import Cell, Number, PaperTable, TableOptions


def to_csv(table: PaperTable, options: TableOptions) -> str:
    """Columns `backbone` and `method`, then `<dataset> UAR` and `<dataset> WAR` of each dataset.

    Each is followed by `... std` with `options.std`, and by `... low` and `... high` with `options.intervals`. A cell
    is empty if its value is not known. Which numbers are best or cover a published one is not said.
    """
    more = [*(["std"] if options.std else []), *(["low", "high"] if options.intervals else [])]
    names = [f"{heading} {metric}" for heading in table.columns for metric in ("UAR", "WAR")]
    header = ["backbone", "method", *(word for name in names for word in (name, *(f"{name} {kind}" for kind in more)))]
    records = (
        [block.backbone, line.name, *(value for cell in line.cells for value in _values(cell, table.decimals, more))]
        for block in table.blocks
        for line in block.lines
    )
    return csv_text(header, records)


def _values(cell: Cell | None, decimals: int, more: list[str]) -> Iterator[str]:
    for number in (cell and cell.uar, cell and cell.war):
        for kind in ("value", *more):
            value = number and _value(number, kind)
            yield "" if value is None else f"{value:.{decimals}f}"


def _value(number: Number, kind: str) -> float | None:
    if kind in ("low", "high"):
        return number.interval and getattr(number.interval, kind)
    return getattr(number, kind)
