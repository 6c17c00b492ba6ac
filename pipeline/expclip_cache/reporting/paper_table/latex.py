"""A table for a paper in LaTeX, with the rules of the package booktabs."""

import re
from collections.abc import Sequence

from expclip_cache.reporting.paper_table.content import Block, Number, PaperTable
from expclip_cache.reporting.paper_table.latex_text import latex_text
from expclip_cache.reporting.paper_table.text_lines import headings, text_lines

COLUMN = 237.0
"""Points of one column of a page with two, in the styles of IEEE and CVF."""

LETTER, GAP = 4.3, 4
"""Points of a digit in the size of type of the table, and half the gap between two columns."""


def to_latex(table: PaperTable) -> str:
    r"""A float with caption and label `tab:zero-shot`.

    UAR and WAR stand in one cell. Where deviations or intervals are shown each has a line, and an interval stands
    below its score. A table wider than one column of a page with two is a `table*`. One wider than the text
    is made smaller.
    """
    head = [latex_text(heading) for heading in headings(table)]
    body: list[str] = []
    widths = [len(heading) for heading in head]
    for block in table.blocks:
        body += [r"\midrule", f"\\multicolumn{{{len(head)}}}{{l}}{{\\textit{{{latex_text(block.backbone)}}}}} \\\\"]
        for cells in _rows(block, table):
            widths = [max(width, _characters(cell)) for width, cell in zip(widths, cells, strict=True)]
            if table.two_lines and cells[0]:
                body.append(r"\addlinespace")
            body.append(_row(cells))
    fits_column = sum(LETTER * width + 2 * GAP for width in widths) <= COLUMN
    environment = "table" if fits_column else "table*"
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs} and \usepackage{graphicx}.",
            f"\\begin{{{environment}}}[t]",
            r"\centering",
            f"\\caption{{{latex_text(' '.join(table.caption))}}}",
            r"\label{tab:zero-shot}",
            r"\footnotesize",
            f"\\setlength{{\\tabcolsep}}{{{GAP}pt}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            f"\\begin{{tabular}}{{{'l' * (len(head) - len(table.columns))}{'c' * len(table.columns)}}}",
            r"\toprule",
            _row(head),
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            f"\\end{{{environment}}}",
            "",
        ]
    )


def _rows(block: Block, table: PaperTable) -> list[list[str]]:
    """The cells of the systems of a backbone, intervals in rows of their own."""
    rows = []
    for line in block.lines:
        scores = text_lines(line, table, lambda number: _score(number, table.decimals), "--")
        spans = text_lines(line, table, lambda number: _interval(number, table.decimals), "")
        for (name, *cells), (_, *below) in zip(scores, spans, strict=True):
            rows.append([latex_text(name), *cells])
            if table.two_lines and any(below[1:]):
                rows.append(["", "", *below[1:]])
    return rows


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _score(number: Number, decimals: int) -> str:
    value = f"{number.value:.{decimals}f}"
    shown = (f"\\textbf{{{value}}}" if number.best else value) + r"$^{\dagger}$" * number.covers
    return shown if number.std is None else f"{shown} {{\\scriptsize$\\pm${number.std:.{decimals}f}}}"


def _interval(number: Number, decimals: int) -> str:
    if number.interval is None:
        return ""
    return f"{{\\scriptsize[{number.interval.low:.{decimals}f}, {number.interval.high:.{decimals}f}]}}"


def _characters(cell: str) -> int:
    """How many characters of a cell are seen, about."""
    return len(re.sub(r"\\[a-z]+|[{}$^\\]", "", cell))
