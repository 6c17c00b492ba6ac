"""LLMs' own answers in the terminal: a table for each LLM, its rules side by side."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from expclip_cache.reporting.score_columns import set_column, span, uar_column
from expclip_cache.reporting.system_names import OWN_ANSWERS, system_names
from expclip_cache.reporting.text_table import Column, tables_within_width
from expclip_cache.scoring import CALIBRATED, AnswerScores, Greedy
from expclip_cache.statistics import Row, Statistics, System, SystemScores, under_highest_type

MOST_COMPARED = 6
"""Systems that the calibrated answers are compared with below the tables; differences.csv has all."""

RULES_IN_WORDS = (
    "an LLM classifies by itself, by the log-likelihood of each class name as the answer to a question. raw: the "
    "class whose names are likeliest; length-normalised: the likeliest name per token; calibrated: raw minus its mean "
    "over training faces, whose labels are not used"
)


def answer_tables(
    scores: Sequence[SystemScores], means: Sequence[SystemScores], answers: Sequence[AnswerScores]
) -> list[Table]:
    """A table for each LLM: UAR of every test set under every rule, and how far generated texts agree.

    Args:
        scores: of the study.
        means: over its test sets.
        answers: of every LLM on every test set.
    """
    greedy = {(found.name, found.test_set): found.greedy for found in answers}
    every = [*scores, *means]
    tables = []
    for name in dict.fromkeys(found.name for found in answers):
        own = [row for row in every if row.system.is_own_answers and row.teacher == name]
        columns = [[row for row in own if row.head == rule] for rule in dict.fromkeys(row.head for row in own)]
        first = columns[0]
        shown = [set_column(first), *(uar_column(rows[0].head, rows) for rows in columns)]
        written = {row.test_set: greedy.get((name, row.test_set)) for row in first}
        if any(written.values()):
            shown.append(_agreement([row.test_set for row in first], written))
        ends = [2 * (len(first) - 1)] if means else []
        tables += tables_within_width(f"The LLM's own {OWN_ANSWERS}: {name}", shown[:1], shown[1:], ends)
    return tables


def answer_notes(scores: Sequence[SystemScores], statistics: Statistics) -> Iterator[str]:
    """What the rules are, and the calibrated answers against plain CLIP and the heads; nothing without answers."""
    highest = under_highest_type(scores)
    systems = list(dict.fromkeys(row.system for row in highest))
    llms = [system for system in systems if system.is_own_answers and system.head == CALIBRATED]
    if not llms:
        return
    yield f"{OWN_ANSWERS}: {RULES_IN_WORDS}."
    names = system_names(systems)
    others = [row for row in _rows(highest) if not row.system.is_own_answers]
    if len(others) > MOST_COMPARED:
        return
    for system in llms:
        found = [(names[other.system], *_difference(system, other, scores, statistics)) for other in others]
        compared = ", ".join(f"{name} {uar:+.1f} {interval}" for name, uar, interval in found)
        yield f"{names[system]}, minus the others on the same items, under the highest prompt type: {compared}."


def _agreement(test_sets: Sequence[str], written: Mapping[str, Greedy | None]) -> Column:
    cells = []
    for name in test_sets:
        found = written[name]
        cells += [f"{found.agreement:.1f} %", f"{found.no_name:.1f} % none"] if found else ["", ""]
    return Column("generated text names what raw answers", cells, "score")


def _rows(scores: Sequence[SystemScores]) -> list[Row]:
    return list(dict.fromkeys(Row(one.system, one.prompt_type) for one in scores))


def _difference(
    system: System, other: Row, scores: Sequence[SystemScores], statistics: Statistics
) -> tuple[float, str]:
    """UAR of calibrated answers minus that of another row: the mean over the test sets, or that of the only one."""
    names = list(dict.fromkeys(one.test_set for one in scores))
    where = ("", "mean") if len(names) > 1 else (names[0], "test set")
    found = statistics.difference(*where, Row(system, 0), other)
    return found.uar, span(found.intervals.uar)
