"""The scores of LLMs' own answers as rows of a comparison: test sets, single folds, their mean and their pool."""

from collections.abc import Mapping
from dataclasses import dataclass

from expclip_cache.datasets import DatasetSettings
from expclip_cache.reporting.comparison import Pair
from expclip_cache.statistics import Part, ScoreIntervals, Statistics, fold_groups


@dataclass(frozen=True)
class OwnAnswers:
    """One LLM's own answers under one rule on one test set, or on one part of a set with folds.

    Attributes:
        test_set, part: see `Comparison`.
        llm: its key in `answers:`.
        rule: from log-likelihoods to answers.
        n: scored items.
        published_n: see `Comparison`.
        score: UAR and WAR.
        intervals: of these over the test items.
    """

    test_set: str
    part: Part
    llm: str
    rule: str
    n: int
    published_n: int | None
    score: Pair
    intervals: ScoreIntervals


def own_answers(test_sets: Mapping[str, DatasetSettings], statistics: Statistics) -> list[OwnAnswers]:
    """Every row of own answers, by LLM and rule, then in the order of the test sets.

    Args:
        test_sets: key in params.yaml -> settings, in the order of `score.datasets`.
        statistics: of the study.

    Raises:
        SettingsError: a definition cannot be read.
    """
    groups = fold_groups(test_sets)
    rows = dict.fromkeys(one.row for one in statistics.rows if one.row.system.is_own_answers)
    found = []
    for row in rows:
        for group in groups:
            scored = statistics.scored(group.test_set, group.part, row)
            found.append(
                OwnAnswers(
                    test_set=group.test_set,
                    part=group.part,
                    llm=row.system.teacher,
                    rule=row.system.head,
                    n=scored.items,
                    published_n=group.published_n,
                    score=Pair(scored.uar, scored.war),
                    intervals=scored.intervals,
                )
            )
    return found
