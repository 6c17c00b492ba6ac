"""What every system makes of every item -> the statistics of a study."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from expclip_cache.base import Reporter, SilentReporter
from expclip_cache.datasets import DatasetSettings
from expclip_cache.statistics.bootstrap import ScoreDraws, interval_of, intervals, score_draws
from expclip_cache.statistics.fold_groups import FoldGroup, fold_groups
from expclip_cache.statistics.items import Answers, common_items, controlled_pairs
from expclip_cache.statistics.outcomes import item_outcomes, paired_outcomes
from expclip_cache.statistics.results import ClassRecall, Difference, ScoredRow, Statistics
from expclip_cache.statistics.settings import StatisticsSettings
from expclip_cache.statistics.significance import holm, mcnemar
from expclip_cache.statistics.system import Row
from expclip_cache.statistics.systems import mean, standard_deviation


def study_statistics(
    answers: Mapping[str, Mapping[Row, Answers]],
    test_sets: Mapping[str, DatasetSettings],
    settings: StatisticsSettings,
    report: Reporter | None = None,
) -> Statistics:
    """The intervals of all scores, and all controlled pairs.

    Args:
        answers: test set -> row -> what its system makes of the items, see `read_answers`.
        test_sets: key in params.yaml -> settings, in the order of the study.
        settings: of the intervals.
        report: shows progress.

    Returns:
        For each group of test sets every row, and every pair of `controlled_pairs`, in the order of the study.

    Raises:
        DataError: two backbones have different true classes for the same items.
        SettingsError: a dataset's definition cannot be read.
    """
    groups = fold_groups(test_sets)
    rows = list(next(iter(answers.values())))
    pairs = controlled_pairs(rows)
    scored: dict[Row, list[ScoredRow]] = {}
    recalls: list[ClassRecall] = []
    differences: dict[tuple[Row, Row], list[Difference]] = {}
    with (report or SilentReporter()).bar("intervals", len(rows) + len(pairs), "row") as bar:
        for row in rows:
            own = {name: found[row] for name, found in answers.items()}
            draws = {
                name: score_draws(item_outcomes(one.truth, one.share_right, one.c), settings, name)
                for name, one in own.items()
            }
            scored[row] = list(_scored(row, own, draws, groups, settings))
            recalls += (line for name in own for line in _recalls(name, row, own[name].classes, draws[name], settings))
            bar.advance(1)
        for pair in pairs:
            both = {name: common_items(found[pair[0]], found[pair[1]]) for name, found in answers.items()}
            differences[pair] = _with_holm(list(_differences(pair, both, groups, settings)), groups)
            bar.advance(1)
    return Statistics(
        settings,
        tuple(scored[row][number] for number in range(len(groups)) for row in rows),
        tuple(recalls),
        tuple(differences[pair][number] for number in range(len(groups)) for pair in pairs),
    )


def _scored(
    row: Row,
    found: Mapping[str, Answers],
    draws: Mapping[str, ScoreDraws],
    groups: Sequence[FoldGroup],
    settings: StatisticsSettings,
) -> Iterator[ScoredRow]:
    for group in groups:
        # For each seed its confusion matrices of all test sets of the group.
        seeds = zip(*(found[name].confusions for name in group.names), strict=True)
        scores = [group.scores(confusions) for confusions in seeds]
        spread = intervals(group.draws(draws[name] for name in group.names), settings)
        yield ScoredRow(
            test_set=group.test_set,
            part=group.part,
            **row.system._asdict(),
            prompt_type=row.prompt_type,
            items=scores[0].items,
            seeds=len(scores) if row.system.has_head else 0,
            uar=mean(one.uar for one in scores),
            uar_low=spread.uar.low,
            uar_high=spread.uar.high,
            uar_std=standard_deviation([one.uar for one in scores]),
            war=mean(one.war for one in scores),
            war_low=spread.war.low,
            war_high=spread.war.high,
            war_std=standard_deviation([one.war for one in scores]),
        )


def _recalls(
    test_set: str, row: Row, classes: Sequence[str], draws: ScoreDraws, settings: StatisticsSettings
) -> Iterator[ClassRecall]:
    for name, items, drawn in zip(classes, draws.items.tolist(), draws.recalls.T, strict=True):
        interval = interval_of(drawn.clip(*draws.bounds), settings) if items else None
        yield ClassRecall(
            test_set=test_set,
            **row.system._asdict(),
            prompt_type=row.prompt_type,
            class_name=name,
            items=items,
            recall=float(drawn[0]) if items else None,
            recall_low=interval and interval.low,
            recall_high=interval and interval.high,
        )


def _differences(
    pair: tuple[Row, Row],
    found: Mapping[str, tuple[Answers, Answers]],
    groups: Sequence[FoldGroup],
    settings: StatisticsSettings,
) -> Iterator[Difference]:
    outcomes = {name: paired_outcomes(a.truth, a.share_right, b.share_right, a.c) for name, (a, b) in found.items()}
    draws = {name: score_draws(outcome, settings, name) for name, outcome in outcomes.items()}
    (system, kind), (other, other_kind) = pair
    for group in groups:
        drawn = group.draws(draws[name] for name in group.names)
        spread = intervals(drawn, settings)
        tested = None
        if group.has_items:
            tested = mcnemar(*(np.concatenate([found[name][k].right for name in group.names], axis=1) for k in (0, 1)))
        yield Difference(
            test_set=group.test_set,
            part=group.part,
            **system._asdict(),
            prompt_type=kind,
            **{f"against_{name}": value for name, value in other._asdict().items()},
            against_prompt_type=other_kind,
            items=sum(int(outcomes[name].items.sum()) for name in group.names),
            uar=float(drawn.uar[0]),
            uar_low=spread.uar.low,
            uar_high=spread.uar.high,
            war=float(drawn.war[0]),
            war_low=spread.war.low,
            war_high=spread.war.high,
            only_this_right=tested and tested.only_first,
            only_other_right=tested and tested.only_second,
            mcnemar_p=tested and tested.p,
            holm_p=None,
        )


def _with_holm(differences: Sequence[Difference], groups: Sequence[FoldGroup]) -> list[Difference]:
    """With p corrected for the number of test sets: a set whose folds are all there counts once, pooled."""
    complete = {name for group in groups if group.part == "pooled" for name in group.names}
    tested = [
        number
        for number, one in enumerate(differences)
        if one.mcnemar_p is not None and not (one.part == "fold" and one.test_set in complete)
    ]
    corrected = holm([differences[number].mcnemar_p or 0.0 for number in tested])
    by_number = dict(zip(tested, corrected, strict=True))
    return [replace(one, holm_p=by_number.get(number)) for number, one in enumerate(differences)]
