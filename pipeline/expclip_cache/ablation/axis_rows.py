"""The values of each axis: mean over draws and seeds, interval over items, paired difference to the centre."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from expclip_cache.ablation.answers import AllAnswers, scores_of
from expclip_cache.ablation.axes import Axis
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.options import AxisName
from expclip_cache.ablation.tables import AxisRow
from expclip_cache.base import Reporter
from expclip_cache.statistics import (
    FoldGroup,
    ScoreDraws,
    StatisticsSettings,
    common_items,
    intervals,
    item_outcomes,
    paired_outcomes,
    score_draws,
)


@dataclass(frozen=True, eq=False)
class _OnTestSet:
    """Scores (s, 2) of the cells, UAR of plain CLIP, and draws; of all but the centre also draws of the change."""

    items: int
    cells: np.ndarray
    clip_uar: float
    draws: ScoreDraws
    change: ScoreDraws | None = None


def axis_rows(
    answers: AllAnswers,
    axes: Sequence[Axis],
    centre: Choice,
    value: Callable[[AxisName, Choice], str],
    mean: FoldGroup | None,
    statistics: StatisticsSettings,
    report: Reporter,
) -> list[AxisRow]:
    """The rows of every value of every axis: each test set, then their mean if there are several.

    Args:
        value: axis and choice -> its value in words.
        mean: how the test sets are averaged; None for a single one.
    """
    found: dict[Choice, list[AxisRow]] = {}
    values = [(axis, choice) for axis in axes for choice in axis.choices if choice in answers.repeats]
    choices = list(dict.fromkeys(choice for _, choice in values))
    with report.bar("intervals of the axes", len(choices) * len(answers.test_sets), "interval") as bar:
        for choice in choices:
            parts: dict[str, _OnTestSet] = {}
            for test_set in answers.test_sets:
                parts[test_set] = _on_test_set(answers, choice, centre, test_set, statistics)
                bar.advance(1)
            found[choice] = _rows(parts, mean, statistics)
    return [
        replace(row, axis=axis.name, value=value(axis.name, choice), centre=choice == centre)
        for axis, choice in values
        for row in found[choice]
    ]


def _on_test_set(
    answers: AllAnswers, choice: Choice, centre: Choice, test_set: str, statistics: StatisticsSettings
) -> _OnTestSet:
    own, clip, other = (answers.of(one, test_set) for one in (choice, choice.clip, centre))
    draws = score_draws(item_outcomes(own.truth, own.share_right, own.c), statistics, test_set)
    part = _OnTestSet(len(own.rows), scores_of(own), float(scores_of(clip)[0, 0]), draws)
    if choice == centre:
        return part
    own, other = common_items(own, other)
    pairs = paired_outcomes(own.truth, own.share_right, other.share_right, own.c)
    return replace(part, change=score_draws(pairs, statistics, test_set))


def _rows(parts: Mapping[str, _OnTestSet], mean: FoldGroup | None, statistics: StatisticsSettings) -> list[AxisRow]:
    """A row per test set and one for their mean, without what they are rows of."""
    rows = [_row(name, part, statistics) for name, part in parts.items()]
    if mean:
        ordered = [parts[name] for name in mean.names]
        changes = [part.change for part in ordered if part.change]
        of_mean = _OnTestSet(
            items=sum(part.items for part in ordered),
            cells=np.average([part.cells for part in ordered], axis=0, weights=mean.weights),
            clip_uar=float(np.average([part.clip_uar for part in ordered], weights=mean.weights)),
            draws=mean.draws(part.draws for part in ordered),
            change=mean.draws(changes) if changes else None,
        )
        rows.append(_row("", of_mean, statistics))
    return rows


def _row(test_set: str, part: _OnTestSet, statistics: StatisticsSettings) -> AxisRow:
    scores = intervals(part.draws, statistics)
    changes = part.change and intervals(part.change, statistics)
    std = part.cells.std(axis=0, ddof=1) if len(part.cells) > 1 else np.zeros(2)
    uar, war = part.cells.mean(axis=0).tolist()
    return AxisRow(
        axis="",
        value="",
        centre=changes is None,
        test_set=test_set,
        cells=len(part.cells),
        items=part.items,
        clip_uar=part.clip_uar,
        uar=uar,
        uar_low=scores.uar.low,
        uar_high=scores.uar.high,
        uar_std=float(std[0]),
        war=war,
        war_low=scores.war.low,
        war_high=scores.war.high,
        war_std=float(std[1]),
        uar_change=part.change and float(part.change.uar[0]),
        uar_change_low=changes and changes.uar.low,
        uar_change_high=changes and changes.uar.high,
        war_change=part.change and float(part.change.war[0]),
        war_change_low=changes and changes.war.low,
        war_change_high=changes and changes.war.high,
    )
