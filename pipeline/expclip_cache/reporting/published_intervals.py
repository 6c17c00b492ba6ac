"""Intervals of the published scores themselves, from the confusion matrices in the reference's repository.

Of each matrix published_correct.csv has the diagonal: how many items of each class the reference classifies correctly.
How many there are of each class is in the definition of the dataset.
"""

import csv
from functools import cache
from importlib.resources import files

import numpy as np

from expclip_cache.datasets import builtin_definitions, load_definition
from expclip_cache.statistics import (
    ScoreIntervals,
    StatisticsSettings,
    intervals,
    mean_draws,
    outcomes_of_correct,
    score_draws,
)


def log_intervals(backbone: str, dataset: str, prompt_type: int, settings: StatisticsSettings) -> ScoreIntervals | None:
    """The intervals over test items of a score in the reference's logs.

    Args:
        backbone: B/32, B/16 or L/14.
        dataset: name of a definition. DFEW and MAFW: of the unweighted mean of the five folds' scores.
        prompt_type: 1 to 5.
        settings: of the intervals.

    Returns:
        None if no matrix is published.
    """
    folds = published_correct().get((backbone, dataset, prompt_type))
    if folds is None:
        return None
    definition = load_definition(builtin_definitions()[dataset])
    draws = [
        score_draws(outcomes_of_correct(np.array(correct), np.array(definition.published_counts(fold))), settings, name)
        for fold, correct in folds.items()
        for name in [f"{dataset} {fold}"]
    ]
    return intervals(mean_draws(draws), settings)


@cache
def published_correct() -> dict[tuple[str, str, int], dict[int | None, tuple[int, ...]]]:
    """Backbone, dataset and prompt type -> fold, or None for a set without folds -> (c,) correct items per class."""
    text = (files("expclip_cache.reporting") / "published_correct.csv").read_text(encoding="utf-8")
    found: dict[tuple[str, str, int], dict[int | None, tuple[int, ...]]] = {}
    for line in csv.DictReader(text.splitlines()):
        key = line["backbone"], line["dataset"], int(line["prompt_type"])
        fold = int(line["fold"]) if line["fold"] else None
        found.setdefault(key, {})[fold] = tuple(map(int, line["correct"].split()))
    return found
