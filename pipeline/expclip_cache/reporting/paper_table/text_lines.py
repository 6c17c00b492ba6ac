"""The lines of a table for a paper as cells of text, the same for LaTeX and Markdown."""

from collections.abc import Callable, Sequence

from expclip_cache.reporting.paper_table.content import Cell, Line, Number, PaperTable

Write = Callable[[Number], str]


def headings(table: PaperTable) -> list[str]:
    """Of all columns."""
    return ["Method", *([""] if table.two_lines else []), *table.columns]


def text_lines(line: Line, table: PaperTable, write: Write, missing: str) -> list[list[str]]:
    """One system as one line of cells `UAR/WAR`, or as a line for UAR and one for WAR.

    Args:
        write: a number as text.
        missing: what stands for a score that is not known.
    """

    def of(cell: Cell | None, metric: str) -> str:
        number = cell and getattr(cell, metric)
        return write(number) if number else missing

    if not table.two_lines:
        return [[line.name, *(f"{of(c, 'uar')}/{of(c, 'war')}" if c else missing for c in line.cells)]]
    metrics: Sequence[tuple[str, str, str]] = ((line.name, "UAR", "uar"), ("", "WAR", "war"))
    return [[name, shown, *(of(cell, metric) for cell in line.cells)] for name, shown, metric in metrics]
