"""How often 95 % intervals of UAR cover the truth, and what they cost: python -m benchmarks.interval_coverage.

Simulates test sets with known recalls and counts for how many the interval covers the true UAR: ours, the plain
percentile bootstrap (items of each class resampled), and the Bayesian bootstrap without the items of the prior.
"""

import time
from collections.abc import Callable

import numpy as np

from expclip_cache.statistics import (
    StatisticsSettings,
    interval_of,
    intervals,
    item_outcomes,
    outcomes_of_correct,
    score_draws,
)

SIMULATED = 4000
SETTINGS = StatisticsSettings(resamples=2000)
FERPLUS = np.array([892, 382, 1083, 269, 394, 16, 86, 15])
CASES = {
    "FERPlus, recalls of the B/16 log": (FERPLUS, [0.924, 0.377, 0.212, 0.725, 0.822, 0.12, 0.14, 0.267]),
    "FERPlus, small classes at 5 %": (FERPLUS, [0.9, 0.4, 0.2, 0.7, 0.8, 0.05, 0.05, 0.05]),
    "FERPlus, all recalls 90 %": (FERPLUS, [0.9] * 8),
    "7 x 500 items": (np.full(7, 500), [0.9, 0.4, 0.2, 0.7, 0.8, 0.1, 0.3]),
    "7 x 16 items": (np.full(7, 16), [0.9, 0.4, 0.2, 0.7, 0.8, 0.1, 0.3]),
    "7 x 200 items, recalls 98 to 100 %": (np.full(7, 200), [0.99, 0.995, 0.999, 1.0, 0.98, 0.99, 0.99]),
}


Limits = tuple[float, float]


def ours(correct: np.ndarray, items: np.ndarray, random: np.random.Generator) -> Limits:
    """The interval of UAR in percent."""
    draws = score_draws(outcomes_of_correct(correct, items), SETTINGS, str(random.integers(1 << 30)))
    found = interval_of(draws.uar, SETTINGS)
    return found.low, found.high


def percentile(correct: np.ndarray, items: np.ndarray, random: np.random.Generator) -> Limits:
    """The interval of UAR in percent."""
    return _limits((random.binomial(items, correct / items, (SETTINGS.resamples, len(items))) / items).mean(axis=1))


def without_prior(correct: np.ndarray, items: np.ndarray, random: np.random.Generator) -> Limits:
    """The interval of UAR in percent."""
    size = SETTINGS.resamples, len(items)
    right, wrong = random.standard_gamma(correct, size), random.standard_gamma(items - correct, size)
    return _limits((right / (right + wrong)).mean(axis=1))


def _limits(shares: np.ndarray) -> Limits:
    low, high = 100 * np.quantile(shares, [0.025, 0.975])
    return low, high


def coverage(method: Callable[..., Limits], items: np.ndarray, recalls: np.ndarray) -> float:
    """Percent of the simulated test sets."""
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(SIMULATED):
        low, high = method(random.binomial(items, recalls), items, random)
        covered += low - 1e-9 <= 100 * recalls.mean() <= high + 1e-9
    return 100 * covered / SIMULATED


def main() -> None:
    """Print the table, then the cost of one interval."""
    print(f"{'':36}ours  percentile  no prior")
    for name, (items, recalls) in CASES.items():
        shares = [coverage(method, items, np.array(recalls)) for method in (ours, percentile, without_prior)]
        print(f"{name:36}{shares[0]:4.1f}  {shares[1]:10.1f}  {shares[2]:8.1f}")
    random, settings = np.random.default_rng(1), StatisticsSettings()
    truth = random.integers(0, 7, 50_000)
    for seeds in (1, 5):
        right = random.binomial(seeds, 0.5, len(truth)) / seeds
        start = time.perf_counter()
        intervals(score_draws(item_outcomes(truth, right, 7), settings, "set"), settings)
        print(f"50,000 items, {settings.resamples:,} draws, {seeds} seed(s): {time.perf_counter() - start:.3f} s")


if __name__ == "__main__":
    main()
