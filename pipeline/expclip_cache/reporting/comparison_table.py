"""The comparison with published scores as a csv file and in the terminal."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.base import csv_text
from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.other_systems import NO_OTHERS, OtherSystem, OtherSystems
from expclip_cache.reporting.own_answers import OwnAnswers
from expclip_cache.reporting.paper_table.columns import ColumnKey
from expclip_cache.reporting.sections import sections_of
from expclip_cache.reporting.text_table import MOST_ROWS, Column, first_of_each, tables_within_width, type_name
from expclip_cache.statistics import ScoreIntervals, System, under_highest_type

_DIFFERENCES: tuple[tuple[Literal["clip", "expclip"], str], ...] = (
    ("clip", "paper_clip"),
    ("expclip", "paper_expclip"),
    ("expclip", "log"),
)
"""Ours and the published score that it is compared with."""


def comparison_csv(
    rows: Sequence[Comparison], others: OtherSystems = NO_OTHERS, answers: Sequence[OwnAnswers] = ()
) -> str:
    """Every row with all its numbers, in percent and points; a cell is empty if its value is unknown.

    `log_difference_uar` is ours minus the log's, `log_inside` whether our interval of UAR covers the log's; the other
    differences likewise. Then come LLMs' own answers, in the columns `answers_...`: `teacher` is the LLM, `head` the
    rule. The last rows are the published scores of systems that the study does not have. `backbone` is empty in both.
    """
    records = [_record(row) for row in rows]
    empty = dict.fromkeys(records[0], "")
    records += [empty | _record_of_answers(row) for row in answers]
    records += [
        empty | _published_record(key, system, pair)
        for system in others.systems
        if not system.ours
        for key, pair in zip(others.columns, system.published, strict=True)
        if pair
    ]
    return csv_text(list(records[0]), (record.values() for record in records))


def comparison_to_terminal(rows: Sequence[Comparison]) -> Group:
    """UAR of CLIP and Exp-CLIP where there are published scores; at most 80 characters wide, no name or number cut.

    With more than `MOST_ROWS` rows, only those under the highest prompt types are shown; the last line says so.
    """
    shown = [row for row in rows if row.is_published and row.method == "CLIP"]
    tables, highest = _tables(shown), under_highest_type(shown)
    notes = [
        "Under a head: ours and, in brackets, the difference to the log, which is the",
        "reference's own for that prompt type; paper: its table, whose type is unknown.",
        "*: a published score, the log under a head, that our interval over test items covers.",
        "items: ours/published where they differ. Sets with folds: mean over the folds.",
    ]
    if sum(table.row_count for table in tables) > MOST_ROWS and len(highest) < len(shown):
        tables = _tables(highest)
        notes.append("Shown is the highest prompt type; report/comparison.csv has the others, and WAR.")
    else:
        notes.append("WAR and single folds are in report/comparison.csv.")
    title = Text("Published results and ours, UAR in percent", style="bold")
    return Group(title, *tables, Text("\n".join(notes)))


def _tables(rows: Sequence[Comparison]) -> list[Table]:
    systems = [row.system for row in rows]
    plain = [System(system.backbone, "", "", system.prompts) for system in systems]
    published = {row.backbone: row.published_as for row in rows}
    tables: list[Table] = []
    for section in sections_of([*plain, *systems]):
        by_system = [[row for row in rows if row.system == head] for head in section.heads or (section.clip,)]
        first = by_system[0]
        keys = [row.test_set for row in first]
        fixed = [
            Column("test set", first_of_each(keys, keys), "left"),
            Column("prompts", [type_name(row.prompt_type) for row in first], "left"),
            Column("items", first_of_each([_items(row) for row in first], keys)),
            Column("plain\nCLIP\nours", [_uar(row.clip) for row in first]),
            Column("plain\nCLIP\npaper", [_uar(row.paper_clip) + _mark(row, "clip", row.paper_clip) for row in first]),
            Column("Exp-\nCLIP\npaper", [_uar(row.paper_expclip) for row in first]),
            Column("log", [_uar(row.log) for row in first]),
        ]
        heads = [
            Column(system.head, [_ours(row) for row in found])
            for system, found in zip(section.heads, by_system, strict=False)
        ]
        title = ", ".join(filter(None, (published[section.clip.backbone], section.title)))
        tables += tables_within_width(title, fixed, heads, ())
    return tables


def _items(row: Comparison) -> str:
    return f"{row.n}" if row.published_n in (None, row.n) else f"{row.n}/{row.published_n}"


def _uar(pair: Pair | None) -> str:
    return "-" if pair is None else f"{pair.uar:.1f}"


def _ours(row: Comparison) -> str:
    """Our UAR with its difference to the log's, and a star if our interval covers it."""
    difference = _difference(row, "expclip", "log")
    shown = f" ({difference.uar:+.1f}){_mark(row, 'expclip', row.log)}" if difference else ""
    return _uar(row.expclip) + shown


def _mark(row: Comparison, ours: Literal["clip", "expclip"], published: Pair | None) -> str:
    """A star if our interval covers the published score, else a space, so that numbers stay below each other."""
    return "*" if row.is_inside(ours, published) else " "


def _record(row: Comparison) -> dict[str, str | int | None]:
    record: dict[str, str | int | None] = {
        "test_set": row.test_set,
        "part": row.part,
        "backbone": row.backbone,
        "published_backbone": row.published_as and row.published_as.removeprefix("CLIP "),
    }
    record |= {name: getattr(row, name) for name in ("teacher", "head", "prompts", "prompt_type")}
    record |= {"items": row.n, "published_items": row.published_n}
    pairs = {name: getattr(row, name) for name in ("clip", "expclip", "paper_clip", "paper_expclip", "log")}
    pairs |= {f"{theirs}_difference": _difference(row, ours, theirs) for ours, theirs in _DIFFERENCES}
    for name, pair in pairs.items():
        record[f"{name}_uar"], record[f"{name}_war"] = _cells(pair)
    record["emocapclip_uar"] = _cells(row.later)[0]
    for name in ("clip", "expclip", "log"):
        record |= _interval_cells(name, getattr(row, f"{name}_intervals"))
    for ours, theirs in _DIFFERENCES:
        inside = row.is_inside(ours, getattr(row, theirs))
        record[f"{theirs}_inside"] = "" if inside is None else str(inside).lower()
    return record | _answers_cells(None, None)


def _record_of_answers(row: OwnAnswers) -> dict[str, str | int | None]:
    record: dict[str, str | int | None] = {"test_set": row.test_set, "part": row.part}
    record |= {"teacher": row.llm, "head": row.rule, "prompt_type": 0}
    record |= {"items": row.n, "published_items": row.published_n}
    return record | _answers_cells(row.score, row.intervals)


def _answers_cells(score: Pair | None, intervals: ScoreIntervals | None) -> dict[str, str]:
    cells = dict(zip(("answers_uar", "answers_war"), _cells(score), strict=True))
    return cells | _interval_cells("answers", intervals)


def _interval_cells(name: str, found: ScoreIntervals | None) -> dict[str, str]:
    return {
        f"{name}_{score}_{end}": f"{getattr(getattr(found, score), end):.3f}" if found else ""
        for score in ("uar", "war")
        for end in ("low", "high")
    }


def _published_record(key: ColumnKey, system: OtherSystem, pair: Pair) -> dict[str, str | int | None]:
    """The cells of a row that has published scores alone."""
    record: dict[str, str | int | None] = {"test_set": key.test_set, "part": key.part}
    record["published_backbone"] = system.name
    if system.source == "figure":
        return record | {"emocapclip_uar": _cells(pair)[0]}
    return record | dict(zip(("paper_clip_uar", "paper_clip_war"), _cells(pair), strict=True))


def _difference(row: Comparison, ours: str, theirs: str) -> Pair | None:
    mine, published = getattr(row, ours), getattr(row, theirs)
    return mine.minus(published) if mine and published else None


def _cells(pair: Pair | None) -> tuple[str, str]:
    return ("", "") if pair is None else (f"{pair.uar:.3f}", "" if pair.war is None else f"{pair.war:.3f}")
