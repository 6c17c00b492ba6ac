"""How long an ablation will take on this machine, from a step of each kind of work with the study's own shapes."""

import time
from collections.abc import Callable

import numpy as np

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice, HeadChoice
from expclip_cache.ablation.predicting import Progress, Work
from expclip_cache.heads import ContrastiveSettings, RidgeSettings
from expclip_cache.scoring import predict_dataset
from expclip_cache.statistics import StatisticsSettings, item_outcomes, score_draws

BLOCK = 2048
"""Rows of the trial sum of a ridge head."""


def estimated_seconds(study: CachedStudy, progress: Progress, choices: int, statistics: StatisticsSettings) -> float:
    """Seconds that fits, predictions and intervals will take, good to about a factor of two.

    Args:
        progress: what is to be done.
        choices: how many have intervals of their own on the page; every cell has one too.
    """
    if not progress.work and not progress.done:
        return 0.0
    example = next(iter([*progress.done, *(cell for work in progress.work for cell in work.missing)])).choice
    items = {name: int((study.truth(example.backbone, name) >= 0).sum()) for name in study.test_sets}
    predicting = progress.missing * sum(items.values()) * _per_item(study, example, min(items, key=items.__getitem__))
    intervals = (progress.missing + len(progress.done) + 3 * choices) * len(items) * _interval(items, statistics)
    return predicting + intervals + sum(_of_fits(study, work) for work in progress.work)


def _of_fits(study: CachedStudy, work: Work) -> float:
    head = next(iter(work.missing)).choice.fitted
    if not work.source.fits or head.faces is None:
        return 0.0
    settings, d, t = study.settings.heads[head.head], *_widths(study, head)
    if isinstance(settings, ContrastiveSettings):
        steps = settings.epochs * (head.faces // settings.batch_size) * work.source.fits
        return steps * _seconds(lambda: _step(settings.batch_size, d, t)) if steps else 0.0
    return _ridge_seconds(settings, head.faces, d, t)


def _ridge_seconds(settings: RidgeSettings, faces: int, d: int, t: int) -> float:
    """A pass over the faces in blocks, an eigendecomposition, and the losses of every lambda."""
    x, y = np.ones((BLOCK, d)), np.ones((BLOCK, t))
    square = np.eye(d)
    losses = len(settings.lambdas) * faces * settings.held_out_share * (d + settings.batch_size) * d * 2
    per_operation = _seconds(lambda: square @ square) / (2 * d**3)
    passes = faces / BLOCK * _seconds(lambda: (x.T @ x, x.T @ y))
    return passes + _seconds(lambda: np.linalg.eigh(square)) + losses * per_operation


def _step(batch: int, d: int, t: int) -> None:
    """The products of a step of training: z = X W', cosines, and the gradients of both."""
    x, w, y = np.ones((batch, d), np.float32), np.ones((t, d), np.float32), np.ones((batch, t), np.float32)
    z = x @ w.T
    cosines = z @ y.T
    np.exp(cosines, out=cosines)
    dz = cosines @ y
    w -= 1e-9 * (dz.T @ x)


def _per_item(study: CachedStudy, choice: Choice, test_set: str) -> float:
    """Seconds per item of a prediction with one head, read from the smallest test set."""
    images = study.images(choice.backbone, test_set)
    table = study.table(choice.prompts, choice.prompt_type, test_set, choice.backbone)
    head = {"": np.ones((_widths(study, choice.fitted)[1], images.width), np.float32)} if choice.head else {}

    def predict() -> None:
        predict_dataset(images, study.embeddings(choice.backbone), table, head, choice.aggregation)

    return _seconds(predict) / max(len(images.good_rows), 1)


def _interval(items: dict[str, int], statistics: StatisticsSettings) -> float:
    """Seconds of an interval."""
    truth = np.arange(max(items.values())) % 7
    outcomes = item_outcomes(truth, np.arange(len(truth)) % 2, 7)
    return _seconds(lambda: score_draws(outcomes, statistics, ""))


def _widths(study: CachedStudy, head: HeadChoice) -> tuple[int, int]:
    """Widths d and t of a head."""
    return study.training_images(head.backbone).width, study.targets(head.teacher)[0].width


def _seconds(function: Callable[[], object]) -> float:
    """Of the second call: the first one also loads and allocates."""
    function()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
