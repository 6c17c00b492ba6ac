"""The scores of a study in the terminal: a table for each backbone, teacher and prompt set, heads side by side."""

from collections.abc import Collection, Iterable, Sequence
from textwrap import fill

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.reporting.sections import Section, sections_of
from expclip_cache.reporting.system_names import PLAIN_CLIP, system_names
from expclip_cache.reporting.text_table import (
    MOST_ROWS,
    WIDTH,
    Column,
    first_of_each,
    tables_within_width,
    type_name,
)
from expclip_cache.reporting.weakest_class import Recalls, weakest_over_test_sets
from expclip_cache.statistics import System, SystemScores, mean, under_highest_type

MOST_WEAKEST = 6
"""Systems whose weakest class is named below the tables; the page has it for all."""

TITLE = "Zero-shot facial expression recognition, UAR in percent"


def scores_to_terminal(scores: Sequence[SystemScores], recalls: Recalls, drawn: Collection[str] = ()) -> Group:
    """UAR of every test set and system; at most 80 characters wide, with no name or number cut.

    With more than `MOST_ROWS` rows, only those under the highest prompt types are shown; a line below says so.

    Args:
        recalls: of every class, for the weakest one.
        drawn: names of test sets whose faces are no photographs.
    """
    tables, highest = _tables(scores), under_highest_type(scores)
    spread = ",\nmean ± standard deviation over its seeds" if any(row.seeds > 1 for row in scores) else ""
    notes = [f"{PLAIN_CLIP}: no head. Other columns: Exp-CLIP with the head of that name{spread}."]
    if any(row.skipped for row in scores):
        notes.append("(+n): n more items could not be read.")
    if sum(table.row_count for table in tables) > MOST_ROWS and len(highest) < len(scores):
        tables = _tables(highest)
        notes.append("Shown is the highest prompt type; report/systems.csv has the others, and WAR.")
    else:
        notes.append("WAR is in report/systems.csv, every seed in results/scores.csv.")
    weakest = weakest_over_test_sets(scores, recalls)
    if len(weakest) <= MOST_WEAKEST:
        kinds = " and ".join(type_name(kind) for kind in dict.fromkeys(row.prompt_type for row in highest))
        names = system_names(weakest)
        named = ", ".join(f"{names[system]} {name} {value:.1f}" for system, (name, value) in weakest.items())
        notes.append(fill(f"Weakest class under {kinds}, mean recall over the test sets: {named}.", WIDTH))
    if drawn_note := note_on_drawn([row.test_set for row in scores], drawn):
        notes.append(fill(drawn_note, WIDTH))
    return Group(Text(TITLE, style="bold"), *tables, Text("\n".join(notes)))


def note_on_drawn(test_sets: Iterable[str], drawn: Collection[str]) -> str:
    """What kind of faces the test sets have, if some are drawn; else empty."""
    found = [name for name in dict.fromkeys(test_sets) if name in drawn]
    if not found:
        return ""
    which = "all test sets" if len(found) == len(set(test_sets)) else ", ".join(found)
    return (
        f"The faces of {which} are drawn: their scores show that the method works, not how well it does on photographs."
    )


def _tables(scores: Sequence[SystemScores]) -> list[Table]:
    sections = sections_of(row.system for row in scores)
    return [table for section in sections for table in _tables_of_section(section, scores)]


def _tables_of_section(section: Section, scores: Sequence[SystemScores]) -> list[Table]:
    by_system: dict[System, list[SystemScores]] = {}
    for row in scores:
        by_system.setdefault(row.system, []).append(row)
    clip = by_system[section.clip]
    types = list(dict.fromkeys(row.prompt_type for row in clip))
    # The means over several test sets are the last rows.
    means = types if len(clip) > len(types) else []
    test_sets = [row.test_set for row in clip]
    names = [*first_of_each(test_sets, test_sets), *first_of_each(["mean" for _ in means], means[:1] * len(means))]
    skipped = [f" (+{row.skipped})" if row.skipped else "" for row in clip]
    items = [f"{row.items}{more}" for row, more in zip(clip, skipped, strict=True)]
    fixed = [
        Column("test set", names, "left"),
        Column("prompts", [type_name(kind) for kind in [*(row.prompt_type for row in clip), *means]], "left"),
        Column("items", [*first_of_each(items, test_sets), *("" for _ in means)]),
        _column(PLAIN_CLIP.replace(" ", "\n"), clip, means),
    ]
    heads = [_column(system.head, by_system[system], means) for system in section.heads]
    return tables_within_width(section.title, fixed, heads, [len(clip)] if means else [])


def _column(header: str, rows: Sequence[SystemScores], means: Sequence[int]) -> Column:
    """UAR of each row, then the means of the given prompt types, which stand under the UARs."""
    deviations = [f" ±{row.uar_std:.1f}" if row.seeds > 1 else "" for row in rows]
    width = max(map(len, deviations))
    cells = [f"{row.uar:.1f}{deviation:<{width}}" for row, deviation in zip(rows, deviations, strict=True)]
    averages = (mean(row.uar for row in rows if row.prompt_type == kind) for kind in means)
    return Column(header, [*cells, *(f"{average:.1f}{'':{width}}" for average in averages)])
