"""The values of each axis: mean over draws and seeds, interval over items, paired difference to the centre."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace

import numpy as np

from expclip_cache.ablation.answers import AllAnswers, scores_of
from expclip_cache.ablation.axes import Axis
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.options import AxisName
from expclip_cache.base import Reporter, csv_text
from expclip_cache.statistics import (
    ScoreDraws,
    StatisticsSettings,
    common_items,
    exact_draw,
    intervals,
    item_outcomes,
    mean_draws,
    paired_outcomes,
    score_draws,
)


@dataclass(frozen=True)
class AxisRow:
    """One line of axes.csv: one value of one axis on one test set, everything else as at the centre.

    Attributes:
        axis: see `AXES`.
        value: name, number, or text of an instruction.
        centre: whether it is the centre's.
        test_set: name of the dataset; empty for the mean over the test sets.
        cells: heads that the scores are the mean of: draws and seeds.
        items: scored items.
        clip_uar: UAR of plain CLIP with the same backbone and prompts.
        uar, war: mean over the cells, in percent.
        uar_low, uar_high, war_low, war_high: intervals over items.
        uar_std, war_std: sample standard deviation over the cells; 0 for a single one.
        uar_change, war_change: minus the centre's on the same items, in points; None for the centre.
        uar_change_low, uar_change_high, war_change_low, war_change_high: their intervals over items.
    """

    axis: str
    value: str
    centre: bool
    test_set: str
    cells: int
    items: int
    clip_uar: float
    uar: float
    uar_low: float
    uar_high: float
    uar_std: float
    war: float
    war_low: float
    war_high: float
    war_std: float
    uar_change: float | None
    uar_change_low: float | None
    uar_change_high: float | None
    war_change: float | None
    war_change_low: float | None
    war_change_high: float | None

    @property
    def change(self) -> tuple[float, float, float] | None:
        """The change in UAR and the ends of its interval; None for the centre."""
        if self.uar_change is None or self.uar_change_low is None or self.uar_change_high is None:
            return None
        return self.uar_change, self.uar_change_low, self.uar_change_high


@dataclass(frozen=True, eq=False)
class _OnTestSet:
    """Scores (s, 2) of the cells, UAR of plain CLIP, and draws; of all but the centre also the change and its draws."""

    items: int
    cells: np.ndarray
    clip_uar: float
    draws: ScoreDraws
    change: ScoreDraws | None = None
    change_draws: ScoreDraws | None = None


def axis_rows(
    answers: AllAnswers,
    axes: Sequence[Axis],
    centre: Choice,
    value: Callable[[AxisName, Choice], str],
    statistics: StatisticsSettings,
    report: Reporter,
) -> list[AxisRow]:
    """The rows of every value of every axis: each test set, then their mean if there are several.

    Args:
        value: axis and choice -> its value in words.
    """
    found: dict[Choice, list[AxisRow]] = {}
    values = [(axis, choice) for axis in axes for choice in axis.choices if choice in answers.repeats]
    choices = list(dict.fromkeys(choice for _, choice in values))
    with report.bar("intervals of the axes", len(choices) * len(answers.test_sets), "interval") as bar:
        for choice in choices:
            parts = []
            for test_set in answers.test_sets:
                parts.append(_on_test_set(answers, choice, centre, test_set, statistics))
                bar.advance(1)
            found[choice] = _rows(answers.test_sets, parts, statistics)
    return [
        replace(row, axis=axis.name, value=value(axis.name, choice), centre=choice == centre)
        for axis, choice in values
        for row in found[choice]
    ]


def axes_csv(rows: Iterable[AxisRow]) -> str:
    """The table as csv, three decimals."""
    return csv_text([field.name for field in fields(AxisRow)], (astuple(row) for row in rows))


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
    return replace(part, change=exact_draw(pairs), change_draws=score_draws(pairs, statistics, test_set))


def _rows(names: Sequence[str], parts: Sequence[_OnTestSet], statistics: StatisticsSettings) -> list[AxisRow]:
    """A row per test set and one for their mean, without what they are rows of."""
    rows = [_row(name, part, statistics) for name, part in zip(names, parts, strict=True)]
    if len(parts) > 1:
        changes = [part.change for part in parts if part.change]
        changes_drawn = [part.change_draws for part in parts if part.change_draws]
        mean = _OnTestSet(
            items=sum(part.items for part in parts),
            cells=np.mean([part.cells for part in parts], axis=0),
            clip_uar=float(np.mean([part.clip_uar for part in parts])),
            draws=mean_draws([part.draws for part in parts]),
            change=mean_draws(changes) if changes else None,
            change_draws=mean_draws(changes_drawn) if changes_drawn else None,
        )
        rows.append(_row("", mean, statistics))
    return rows


def _row(test_set: str, part: _OnTestSet, statistics: StatisticsSettings) -> AxisRow:
    scores = intervals(part.draws, statistics)
    changes = part.change_draws and intervals(part.change_draws, statistics)
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
