"""The scores of a study in the terminal: a table for each backbone, teacher and prompt set, heads side by side."""

from collections.abc import Collection, Iterable, Sequence
from textwrap import fill

from rich.console import Group
from rich.table import Table
from rich.text import Text

from expclip_cache.reporting.answer_tables import answer_notes, answer_tables
from expclip_cache.reporting.score_columns import set_column, uar_column
from expclip_cache.reporting.sections import Section, sections_of
from expclip_cache.reporting.system_names import PLAIN_CLIP, system_names
from expclip_cache.reporting.text_table import (
    MOST_ROWS,
    WIDTH,
    Column,
    tables_within_width,
    type_name,
)
from expclip_cache.reporting.weakest_class import Recalls, weakest_over_test_sets
from expclip_cache.scoring import AnswerScores
from expclip_cache.statistics import Statistics, System, SystemScores, mean_scores, under_highest_type

MOST_WEAKEST = 6
"""Systems whose weakest class is named below the tables; the page has it for all."""

TITLE = "Zero-shot facial expression recognition, UAR in percent"


def scores_to_terminal(
    scores: Sequence[SystemScores],
    statistics: Statistics,
    recalls: Recalls,
    drawn: Collection[str] = (),
    others: Sequence[str] = (),
    answers: Sequence[AnswerScores] = (),
) -> Group:
    """UAR of every test set and system; at most 80 characters wide, with no name or number cut.

    With more than `MOST_ROWS` rows, only those under the highest prompt types are shown; a line below says so.

    Args:
        scores: of the study.
        statistics: of the same study, for the means over the test sets.
        recalls: of every class, for the weakest one.
        drawn: names of test sets whose faces are no photographs.
        others: the backbones that are no CLIP, see `other_models`.
        answers: what is behind the scores of LLMs' own answers.
    """
    means = mean_scores(scores, statistics)
    of_answers = answer_tables(scores, means, answers)
    tables, highest = _tables(scores, means), under_highest_type(scores)
    confidence = f"{statistics.settings.confidence:g} %"
    spread = ",\nmean ± standard deviation over its seeds" if any(row.seeds > 1 for row in scores) else ""
    notes = [f"{PLAIN_CLIP}: no head. Other columns: Exp-CLIP with the head of that name{spread}."]
    notes += [fill(note, WIDTH) for note in answer_notes(scores, statistics)]
    if others:
        notes.append(fill(f"These backbones are not CLIPs, whatever the label says: {', '.join(others)}.", WIDTH))
    notes.append(
        fill(f"In brackets: {confidence} intervals over test items, of UAR and, under a head, of its gain (+).", WIDTH)
    )
    if any(row.skipped for row in scores):
        notes.append("(+n): n more items could not be read.")
    if sum(table.row_count for table in tables) > 2 * MOST_ROWS and len(highest) < len(scores):
        tables = _tables(highest, under_highest_type(means))
        notes.append("Shown is the highest prompt type; report/systems.csv has the others, and WAR.")
    else:
        notes.append("WAR is in report/systems.csv, every seed in results/scores.csv, every paired")
        notes.append("comparison in results/statistics/differences.csv.")
    with_clip = [row for row in scores if not row.system.is_own_answers]
    weakest = weakest_over_test_sets(with_clip, recalls)
    if len(weakest) <= MOST_WEAKEST:
        kinds = " and ".join(map(type_name, dict.fromkeys(row.prompt_type for row in highest if row.backbone)))
        names = system_names(weakest)
        named = ", ".join(f"{names[system]} {name} {value:.1f}" for system, (name, value) in weakest.items())
        notes.append(fill(f"Weakest class under {kinds}, mean recall over the test sets: {named}.", WIDTH))
    if drawn_note := note_on_drawn([row.test_set for row in scores], drawn):
        notes.append(fill(drawn_note, WIDTH))
    return Group(Text(TITLE, style="bold"), *tables, *of_answers, Text("\n".join(notes)))


def note_on_drawn(test_sets: Iterable[str], drawn: Collection[str]) -> str:
    """What kind of faces the test sets have, if some are drawn; else empty."""
    found = [name for name in dict.fromkeys(test_sets) if name in drawn]
    if not found:
        return ""
    which = "all test sets" if len(found) == len(set(test_sets)) else ", ".join(found)
    return (
        f"The faces of {which} are drawn: their scores show that the method works, not how well it does on photographs."
    )


def _tables(scores: Sequence[SystemScores], means: Sequence[SystemScores]) -> list[Table]:
    sections = sections_of(row.system for row in scores)
    return [table for section in sections for table in _tables_of_section(section, scores, means)]


def _tables_of_section(section: Section, scores: Sequence[SystemScores], means: Sequence[SystemScores]) -> list[Table]:
    by_system: dict[System, list[SystemScores]] = {}
    for row in scores:
        by_system.setdefault(row.system, []).append(row)
    # The means over several test sets are the last rows.
    rows_of = {system: [*by_system[system], *(row for row in means if row.system == system)] for system in by_system}
    rows = rows_of[section.clip]
    fixed = [
        set_column(rows),
        Column("prompts", [line for row in rows for line in (type_name(row.prompt_type), "")], "left"),
    ]
    columns = [uar_column(system.head or PLAIN_CLIP, rows_of[system]) for system in (section.clip, *section.heads)]
    ends = [2 * len(by_system[section.clip])] if means else []
    return tables_within_width(section.title, [*fixed, columns[0]], columns[1:], ends)
