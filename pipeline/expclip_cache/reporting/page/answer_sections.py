"""The results of LLMs' own answers -> what the page shows of each."""

from collections.abc import Iterator, Sequence

from expclip_cache.reporting.page.answer_content import AnswerSection, AnswerView, Compared
from expclip_cache.reporting.page.content import ReportInputs
from expclip_cache.reporting.page.examples import ExampleReader
from expclip_cache.reporting.page.set_sections import row_percent
from expclip_cache.reporting.system_names import system_names
from expclip_cache.scoring import CALIBRATED, RULES, AnswerScores, recall
from expclip_cache.statistics import Row, Statistics, System, SystemScores, under_highest_type


def answer_views(
    inputs: ReportInputs, scores: Sequence[SystemScores], means: Sequence[SystemScores], examples: ExampleReader
) -> Iterator[AnswerView]:
    """One for each LLM, in the order of the study.

    Args:
        inputs: the results of a study.
        scores: every system on every test set.
        means: over the test sets.
        examples: reads the faces.
    """
    for name in dict.fromkeys(found.name for found in inputs.answers):
        own = [found for found in inputs.answers if found.name == name]
        rows = {
            rule: tuple(row for row in (*scores, *means) if row.system == System("", name, rule, "")) for rule in RULES
        }
        by_set = {rule: {row.test_set: row for row in found} for rule, found in rows.items()}
        yield AnswerView(
            name=name,
            question=own[0].images["settings"]["question"],
            orders=own[0].images["settings"]["orders"],
            calibration_faces=own[0].calibration["rows"] - len(own[0].calibration["skipped"]),
            rows=rows,
            greedy={found.test_set: found.greedy for found in own if found.greedy},
            compared=tuple(_compared(Row(System("", name, CALIBRATED, ""), 0), scores, inputs.statistics)),
            sets=tuple(
                _section(
                    found,
                    by_set["raw"][found.test_set],
                    by_set[CALIBRATED][found.test_set],
                    inputs.statistics,
                    examples,
                )
                for found in own
            ),
        )


def _compared(row: Row, scores: Sequence[SystemScores], statistics: Statistics) -> Iterator[Compared]:
    names = system_names(one.system for one in scores)
    others = dict.fromkeys(Row(one.system, one.prompt_type) for one in under_highest_type(scores))
    test_sets = list(dict.fromkeys(one.test_set for one in scores))
    for other in others:
        if other.system.is_own_answers:
            continue
        found = [statistics.difference(name, "test set", row, other) for name in test_sets]
        if len(test_sets) > 1:
            found.append(statistics.difference("", "mean", row, other))
        yield Compared(names[other.system], tuple(found))


def _section(
    found: AnswerScores, raw: SystemScores, calibrated: SystemScores, statistics: Statistics, examples: ExampleReader
) -> AnswerSection:
    return AnswerSection(
        row=calibrated,
        raw_row=raw,
        classes=found.classes,
        raw=row_percent(found.rules["raw"]),
        calibrated=row_percent(found.rules[CALIBRATED]),
        raw_recall=recall(found.rules["raw"]),
        calibrated_recall=recall(found.rules[CALIBRATED]),
        raw_intervals=statistics.recall_intervals(found.test_set, Row(raw.system, 0)),
        calibrated_intervals=statistics.recall_intervals(found.test_set, Row(calibrated.system, 0)),
        counts=found.changes["counts"],
        fixed=examples.read(found.changes["fixed"], found.test_set, found.classes),
        broken=examples.read(found.changes["broken"], found.test_set, found.classes),
    )
