"""Intervals of UAR and WAR over test items: a Bayesian bootstrap, stratified by true class.

What would UAR be on another test set of the same kind, with as many items of each class? The Bayesian bootstrap (Rubin
1981) answers by weighting the items of each class anew: uniformly distributed weights that sum to one. As only the
outcome of an item matters, the summed weights of each outcome are drawn instead, from a Dirichlet distribution whose
parameters are the counts. So a draw costs the same for 50 items as for 50,000.

To the counts of each class come a third of an item that is right and a third that is wrong (Kerman's neutral prior,
2011), because otherwise a class whose items all have one outcome would be taken for known: with 16 items and no error,
its recall would be certain. What the prior does besides is undone: it pulls each recall a little towards one half,
which over many classes and folds that are alike would add up, and it counts as items that were not seen. So the draws
of each class are shifted to have the recall itself as their mean, and scaled to have the variance of its items alone.
docs/statistics.md shows how often such intervals cover the truth.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.statistics.outcomes import Outcomes
from expclip_cache.statistics.settings import StatisticsSettings


@dataclass(frozen=True)
class Interval:
    """An interval in percent, or in points for a difference."""

    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether the value lies in the interval."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class ScoreIntervals:
    """The intervals of UAR and WAR, or of their differences."""

    uar: Interval
    war: Interval


@dataclass(frozen=True, eq=False)
class ScoreDraws:
    """Draws of UAR and WAR, or of their differences; the first is the test set itself, with every item weighted alike.

    Attributes:
        recalls: (B + 1, c) float64 recall of each class in percent, not yet within the bounds; NaN for a class without
            items; of a mean over test sets (B + 1, 0).
        items: (c,) int64 items of each class; of a mean over test sets (0,).
        uar, war: (B + 1,) float64, in percent.
        bounds: between which recalls and scores can be.
    """

    recalls: np.ndarray
    items: np.ndarray
    uar: np.ndarray
    war: np.ndarray
    bounds: tuple[float, float]


def score_draws(outcomes: Outcomes, settings: StatisticsSettings, test_set: str) -> ScoreDraws:
    """Draw recalls, UAR and WAR of one test set.

    Args:
        outcomes: of the test set's items, one at least.
        settings: how many draws, and their seed.
        test_set: its name. Test sets are drawn independently of each other; the same one is drawn alike every time.
    """
    random = np.random.default_rng([settings.seed, zlib.crc32(test_set.encode())])
    present = outcomes.items > 0
    counts, values = outcomes.counts[present], outcomes.values
    recalls = np.full((settings.resamples + 1, len(present)), np.nan)
    items, added = counts.sum(axis=1), outcomes.prior.sum()
    recalls[0, present] = exact = counts @ values / items
    drawn = _dirichlet_means(random, counts + outcomes.prior, values, settings.resamples)
    mean = (counts @ values + outcomes.prior @ values) / (items + added)
    # The variance of a Dirichlet mean has the sum of the parameters plus one where that of a sample has its size.
    recalls[1:, present] = exact + (drawn - mean) * np.sqrt((items + added + 1) / items)
    return _draws(100.0 * recalls, outcomes.items, (100.0 * values[0], 100.0 * values[-1]))


def pooled_draws(draws: Sequence[ScoreDraws]) -> ScoreDraws:
    """Draws of the scores over the items of several test sets with the same classes together."""
    items = np.stack([one.items for one in draws])
    weighted = [np.nan_to_num(one.recalls) * one.items for one in draws]
    total = items.sum(axis=0)
    recalls = np.divide(np.sum(weighted, axis=0), total, out=np.full(weighted[0].shape, np.nan), where=total > 0)
    return _draws(recalls, total, draws[0].bounds)


def mean_draws(draws: Sequence[ScoreDraws], weights: Sequence[float] | None = None) -> ScoreDraws:
    """Draws of the mean of the scores of several test sets, weighted alike if no weights are given."""
    uar, war = (np.average([getattr(one, name) for one in draws], axis=0, weights=weights) for name in ("uar", "war"))
    return ScoreDraws(np.empty((len(uar), 0)), np.empty(0, dtype=np.int64), uar, war, draws[0].bounds)


def intervals(draws: ScoreDraws, settings: StatisticsSettings) -> ScoreIntervals:
    """The intervals of UAR and WAR, see `interval_of`."""
    return ScoreIntervals(interval_of(draws.uar, settings), interval_of(draws.war, settings))


def interval_of(draws: np.ndarray, settings: StatisticsSettings) -> Interval:
    """The interval that holds `settings.confidence` percent of the draws, with as many below as above.

    Args:
        draws: (B + 1,) the value itself, which the interval holds in any case, then draws of it.
        settings: the confidence.
    """
    outside = (1 - settings.confidence / 100) / 2
    low, high = np.quantile(draws[1:], [outside, 1 - outside])
    return Interval(float(min(low, draws[0])), float(max(high, draws[0])))


def _draws(recalls: np.ndarray, items: np.ndarray, bounds: tuple[float, float]) -> ScoreDraws:
    present = items > 0
    shown = recalls[:, present]
    uar, war = shown.mean(axis=1), shown @ (items[present] / items.sum())
    return ScoreDraws(recalls, items, uar.clip(*bounds), war.clip(*bounds), bounds)


def _dirichlet_means(random: np.random.Generator, shape: np.ndarray, values: np.ndarray, draws: int) -> np.ndarray:
    """(draws, c) means of the values under weights drawn from a Dirichlet distribution for each of the c classes.

    Args:
        random: where they are drawn from.
        shape: (c, v) parameters.
        values: (v,) what is averaged.
        draws: how many.
    """
    # A Dirichlet draw is one of gamma distributions, divided by its sum. Outcomes that no item has are not drawn.
    weights = np.zeros((draws, *shape.shape))
    drawn = shape > 0
    weights[:, drawn] = random.standard_gamma(shape[drawn], size=(draws, int(drawn.sum())))
    return weights @ values / weights.sum(axis=2)
