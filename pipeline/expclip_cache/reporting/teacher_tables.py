"""The teachers compared, in the terminal: label-free scores beside the mean UAR, then each test set."""

from collections.abc import Iterator
from textwrap import fill

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.reporting.system_names import PLAIN_CLIP
from expclip_cache.reporting.teacher_content import BackboneTeachers, teachers_of
from expclip_cache.reporting.text_table import WIDTH, Column, tables_within_width
from expclip_cache.teachers import LABEL_FREE, RECOMMENDED, TeacherResults

TITLE = "Teachers compared by heads in closed form"
CHOSEN = "*"


def teachers_to_terminal(found: TeacherResults) -> Group:
    """The whole comparison; at most 80 characters wide."""
    backbones = teachers_of(found)
    several = len(backbones) > 1
    tables = [table for one in backbones for table in _tables(one, f", backbone {one.backbone}" if several else "")]
    row = found.teachers[0]
    notes = [
        f"UAR in percent; in brackets: {row.confidence:g} % intervals over test items. Scores without labels are of "
        f"{row.held_out:,} held-out training images, in percent but for the effective rank. Correlation: Spearman's, "
        "of each score with the mean UAR of these rows."
    ]
    if all(one.chosen for one in backbones):
        notes.append(f"{CHOSEN}: the row that {LABEL_FREE[RECOMMENDED]} chooses without labels.")
    else:
        notes.append(
            "No row is chosen: agreement needs several prompts of each class. Give the first prompt set type 5."
        )
    return Group(Text(TITLE, style="bold"), *tables, Text("\n".join(fill(note, WIDTH) for note in notes)))


def _tables(one: BackboneTeachers, backbone: str) -> Iterator[Table]:
    yield from _label_free(one, f"Mean UAR, and scores without labels{backbone}")
    yield from _test_sets(one, f"UAR on each test set{backbone}")


def _label_free(one: BackboneTeachers, title: str) -> list[Table]:
    correlated = any(value is not None for value in one.correlations.values())
    names = [*one.rows, PLAIN_CLIP, *(["correlation"] if correlated else [])]
    columns = [
        Column("UAR", [*(f"{row.uar:.1f}" for row in one.rows.values()), f"{one.clip.uar:.1f}", *([""] * correlated)])
    ]
    for score, header in LABEL_FREE.items():
        values = [_number(getattr(row, score)) for row in one.rows.values()]
        correlation = one.correlations[score]
        last = "" if correlation is None else f"{correlation:+.2f}"
        columns.append(Column(header, [*values, "", *([last] if correlated else [])]))
    fixed = [Column("teacher", [_marked(one, name) for name in names], "left")]
    return tables_within_width(title, fixed, columns, [len(one.rows), len(one.rows) + 1])


def _test_sets(one: BackboneTeachers, title: str) -> list[Table]:
    names = [*one.rows, PLAIN_CLIP]
    columns = []
    for place, test_set in enumerate(one.test_sets):
        cells = [one.scores[name][place] for name in names]
        lines = [line for row in cells for line in (f"{row.uar:.1f}", f"[{row.uar_low:.1f}, {row.uar_high:.1f}]")]
        columns.append(Column(test_set, lines, "score"))
    fixed = [Column("teacher", [line for name in names for line in (_marked(one, name), "")], "left")]
    return tables_within_width(title, fixed, columns, [2 * len(one.rows)])


def _marked(one: BackboneTeachers, name: str) -> str:
    return f"{name} {CHOSEN}" if name == one.chosen else name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
