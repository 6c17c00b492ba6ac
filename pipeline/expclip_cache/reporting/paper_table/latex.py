"""A table for a paper in LaTeX, with the rules of the package booktabs."""

from collections.abc import Sequence
from itertools import chain

from expclip_cache.reporting.paper_table.content import Number, PaperTable
from expclip_cache.reporting.paper_table.latex_text import latex_text
from expclip_cache.reporting.paper_table.latex_width import layout_for
from expclip_cache.reporting.paper_table.text_lines import headings, text_lines

_MISSING = "--"


def to_latex(table: PaperTable) -> str:
    """A float with caption and label `tab:zero-shot`, in the size of type at which it fits its column.

    UAR and WAR stand in one cell. Where deviations or intervals are shown each has a line, and an interval stands
    below its score. A table as wide as both columns of a page is a `table*`.
    """
    head = headings(table)
    rows = [_lines_of_block(table, number, len(head)) for number in range(len(table.blocks))]
    cells = [head, *(row for row in chain(*rows) if isinstance(row, list))]
    layout = layout_for(cells)
    body = [f"{' & '.join(latex_text(heading) for heading in head)} \\\\"]
    for lines in rows:
        body.append(r"\midrule")
        body += [line if isinstance(line, str) else f"{' & '.join(line)} \\\\" for line in lines]
    sides = "l" * (2 if table.two_lines else 1) + "c" * len(table.columns)
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs}. In a narrower text than two columns of 3.3 inches, put the tabular into",
            r"% \resizebox{\textwidth}{!}{...} of the package graphicx.",
            f"\\begin{{{layout.environment}}}[t]",
            r"\centering",
            f"\\caption{{{latex_text(' '.join(table.caption))}}}",
            r"\label{tab:zero-shot}",
            f"\\{layout.size}",
            f"\\setlength{{\\tabcolsep}}{{{layout.gap:g}pt}}",
            f"\\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            f"\\end{{{layout.environment}}}",
            "",
        ]
    )


def _lines_of_block(table: PaperTable, number: int, width: int) -> list[str | list[str]]:
    """The name of the backbone and its systems: lists of cells in LaTeX, and commands."""
    block = table.blocks[number]
    lines: list[str | list[str]] = [f"\\multicolumn{{{width}}}{{l}}{{\\textit{{{latex_text(block.backbone)}}}}} \\\\"]
    for line in block.lines:
        if table.two_lines:
            lines.append(r"\addlinespace")
        scores = text_lines(line, table, lambda score: _score(score, table.decimals), _MISSING)
        spans = text_lines(line, table, lambda score: _interval(score, table.decimals), "")
        for (name, *cells), (_, *below) in zip(scores, spans, strict=True):
            lines.append([latex_text(name), *cells])
            if table.two_lines and any(below[1:]):
                lines.append(["", "", *below[1:]])
    return lines


def _score(number: Number, decimals: int) -> str:
    value = f"{number.value:.{decimals}f}"
    shown = (f"\\textbf{{{value}}}" if number.best else value) + r"$^{\dagger}$" * number.covers
    return shown if number.std is None else f"{shown} {{\\scriptsize$\\pm${number.std:.{decimals}f}}}"


def _interval(number: Number, decimals: int) -> str:
    if number.interval is None:
        return ""
    return f"{{\\scriptsize[{number.interval.low:.{decimals}f}, {number.interval.high:.{decimals}f}]}}"
