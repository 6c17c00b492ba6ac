"""The systems of one backbone as lines of the table, ours and the published ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.other_systems import OtherSystems
from expclip_cache.reporting.own_answers import OwnAnswers
from expclip_cache.reporting.paper_table.columns import ColumnKey, column_of
from expclip_cache.reporting.paper_table.content import Cell, Line, Number, TableOptions
from expclip_cache.reporting.system_names import OWN_ANSWERS, several_of
from expclip_cache.statistics import ScoreIntervals, System

CellOf = Callable[[Comparison], Cell | None]


def lines_of_backbone(
    rows: Sequence[Comparison], columns: Sequence[ColumnKey], options: TableOptions, several: Sequence[str]
) -> list[Line]:
    """Plain CLIP, then the heads, of each prompt set; with `options.published`, the published scores first.

    Args:
        rows: of one backbone, at most one for each system and column.
        columns: where the rows stand.
        several: which of `teacher`, `head` and `prompts` tell the systems of the study apart.
    """
    lines = list(_published(rows, columns, options)) if options.published else []
    for prompts in dict.fromkeys(row.prompts for row in rows):
        own = [row for row in rows if row.prompts == prompts]
        name = _name(own[0].method, System("", "", "", prompts), several)
        lines.append(Line(name, _by_column(own, columns, lambda row: _clip(row, options))))
        for system in dict.fromkeys(row.system for row in own if row.head):
            found = [row for row in own if row.system == system]
            name = _name("Exp-CLIP", system, several)
            lines.append(Line(name, _by_column(found, columns, lambda row: _expclip(row, options))))
    return lines


def lines_of_answers(
    rows: Sequence[OwnAnswers], columns: Iterable[ColumnKey], options: TableOptions
) -> tuple[Line, ...]:
    """One LLM's own answers, a line for each rule."""
    by_rule = {rule: {} for rule in dict.fromkeys(row.rule for row in rows)}
    for row in rows:
        by_rule[row.rule][ColumnKey(row.test_set, row.part)] = _cell(row.score, options, row.intervals)
    return tuple(
        Line(f"{OWN_ANSWERS}, {rule}", tuple(cells.get(key) for key in columns)) for rule, cells in by_rule.items()
    )


def lines_of_others(others: OtherSystems, columns: Sequence[ColumnKey]) -> list[Line]:
    """The published scores of the systems that the study does not have, if a paper reports them."""
    lines = []
    for system in others.systems:
        if system.source == "paper" and not system.ours:
            by_key = dict(zip(others.columns, system.published, strict=True))
            pairs = [by_key.get(key) for key in columns]
            lines.append(Line(system.title, tuple(pair and _cell(pair, TableOptions()) for pair in pairs)))
    return lines


def told_apart_by(rows: Sequence[Comparison]) -> tuple[str, ...]:
    """Which of `head`, `teacher` and `prompts` several systems of the study differ in."""
    several = several_of(row.system for row in rows)
    heads = {row.head for row in rows if row.head}
    return (*(("head",) if len(heads) > 1 else ()), *(kind for kind in several if kind != "backbone"))


def published_target(row: Comparison) -> Pair | None:
    """What Exp-CLIP is to reproduce: the log of its prompt type, or else the paper's table."""
    return row.log or row.paper_expclip


def _name(method: str, system: System, several: Sequence[str]) -> str:
    words = [getattr(system, kind) for kind in several if getattr(system, kind)]
    return f"{method} ({', '.join(words)})" if words else method


def _by_column(rows: Sequence[Comparison], columns: Sequence[ColumnKey], cell: CellOf) -> tuple[Cell | None, ...]:
    by_key: Mapping[ColumnKey, Comparison] = {column_of(row): row for row in reversed(rows)}
    return tuple(cell(by_key[key]) if key in by_key else None for key in columns)


def _clip(row: Comparison, options: TableOptions) -> Cell | None:
    return _cell(row.clip, options, row.clip_intervals, row.paper_clip)


def _expclip(row: Comparison, options: TableOptions) -> Cell | None:
    return _cell(row.expclip, options, row.expclip_intervals, published_target(row), row.expclip_std)


def _cell(
    pair: Pair | None,
    options: TableOptions,
    intervals: ScoreIntervals | None = None,
    published: Pair | None = None,
    std: Pair | None = None,
) -> Cell | None:
    def number(metric: str) -> Number:
        interval = intervals and getattr(intervals, metric)
        known = published and getattr(published, metric)
        return Number(
            value=getattr(pair, metric),
            std=getattr(std, metric) if options.std and std else None,
            interval=interval if options.intervals else None,
            covers=interval is not None and known is not None and interval.covers(known),
        )

    return pair and Cell(number("uar"), number("war"))


def _published(rows: Sequence[Comparison], columns: Sequence[ColumnKey], options: TableOptions) -> Iterator[Line]:
    """A line for each source that has scores of this backbone; what was read off a figure is not fit for a paper."""
    sources: list[tuple[str, CellOf]] = [
        (f"{rows[0].method}, paper", lambda row: _cell(row.paper_clip, options)),
        ("Exp-CLIP, paper", lambda row: _cell(row.paper_expclip, options)),
        *(
            (f"Exp-CLIP, log, type {kind}", _log_of(kind, options))
            for kind in sorted({r.prompt_type for r in rows if r.log})
        ),
    ]
    for name, cell in sources:
        # Plain CLIP and every head have the same published scores, so any row that knows them will do.
        known = [row for row in rows if cell(row)]
        if known:
            yield Line(name, _by_column(known, columns, cell))


def _log_of(kind: int, options: TableOptions) -> CellOf:
    return lambda row: _cell(row.log, options, row.log_intervals) if row.prompt_type == kind else None
