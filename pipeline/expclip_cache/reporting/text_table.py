"""Terminal tables that never cut anything: long names continue on the next line, many columns in the next table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 80
"""Characters that a table may take."""

MOST_ROWS = 60
"""Rows of a study's tables beyond which only the highest prompt type of each prompt set is shown."""

LONGEST_NAME = {"left": 20, "right": 12, "score": 18}
"""Characters of a name before it continues on the next line, in or above a column of that side."""


@dataclass(frozen=True)
class Column:
    """One column: its header and a cell for each row.

    Columns of names are `left`, those of numbers `right`. In a `score` column a number stands above its interval, both
    starting at the left.
    """

    header: str
    cells: Sequence[str]
    side: str = "right"


def tables_within_width(
    title: str, fixed: Sequence[Column], others: Sequence[Column], ends: Sequence[int]
) -> list[Table]:
    """Columns side by side, in as many tables as they need.

    Args:
        title: above the first table; the further ones say that they continue it.
        fixed: columns that every table starts with.
        others: columns that are spread over the tables; at least one goes into each.
        ends: numbers of the rows before which there is a line.
    """
    tables: list[Table] = []
    start = 0
    while start < len(others) or not tables:
        shown = next(
            table
            for width in count(len(others) - start, -1)
            for table in [_table(title, [*fixed, *others[start : start + width]], ends)]
            if width <= 1 or Console(width=1000).measure(table).maximum <= WIDTH
        )
        tables.append(shown)
        start += max(len(shown.columns) - len(fixed), 1)
        title = f"{title.removesuffix(', continued')}, continued" if title else "continued"
    return tables


def first_of_each(cells: Sequence[str], keys: Sequence[object]) -> list[str]:
    """The cells, empty where the key is that of the row before.

    >>> first_of_each(["10", "10", "10"], ["a", "a", "b"])
    ['10', '', '10']
    """
    return [cell if number == 0 or keys[number] != keys[number - 1] else "" for number, cell in enumerate(cells)]


def type_name(prompt_type: int) -> str:
    """A prompt type in a table; 0 stands for prompts from a file."""
    return f"type {prompt_type}" if prompt_type else "file"


def folded(name: str, width: int) -> str:
    r"""A name in lines of at most `width` characters, broken after a hyphen or underscore where there is one.

    >>> folded("contrastive-with-a-low-lr", 14)
    'contrastive-\nwith-a-low-lr'
    """
    lines = []
    while len(name) > width:
        end = max(name.rfind(mark, 0, width) for mark in "-_ ") + 1 or width
        lines.append(name[:end].rstrip(" "))
        name = name[end:]
    return "\n".join([*lines, name])


def _table(title: str, columns: Sequence[Column], ends: Sequence[int]) -> Table:
    name = Text(f"\n{title}") if title else None
    table = Table(title=name, title_justify="left", title_style="", box=box.HORIZONTALS, padding=(0, 1, 0, 0))
    tallest = max(len(_lines(column.header, column.side)) for column in columns)
    texts = [_texts(column, tallest) for column in columns]
    for header, *_ in texts:
        table.add_column(header, no_wrap=True)
    for number, cells in enumerate(zip(*(rest for _, *rest in texts), strict=True)):
        if number in ends:
            table.add_section()
        table.add_row(*cells)
    return table


def _lines(name: str, side: str) -> list[str]:
    """A header or a name in lines; line ends that it has are kept."""
    return [line for part in name.split("\n") for line in folded(part, LONGEST_NAME[side]).split("\n")]


def _texts(column: Column, tallest: int) -> list[Text]:
    """The header, as tall as the tallest, and the cells. Numbers are padded here, so that spaces at their end count."""
    header = _lines(column.header, column.side)
    header = [*[""] * (tallest - len(header)), *header]
    if column.side == "left":
        return [Text("\n".join(lines)) for lines in (header, *(_lines(cell, "left") for cell in column.cells))]
    width = max(map(len, [*header, *column.cells]))
    rows = [header, *([cell] for cell in column.cells)]
    padded = str.ljust if column.side == "score" else str.rjust
    return [Text("\n".join(padded(line, width) for line in lines)) for lines in rows]
