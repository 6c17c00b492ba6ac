"""How long an ablation will take on this machine, from a step of each kind of work with the study's own shapes."""

import time
from collections.abc import Callable
from functools import cache

import numpy as np

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice, HeadChoice
from expclip_cache.ablation.predicting import Progress, Work
from expclip_cache.heads import ContrastiveSettings, RidgeSettings
from expclip_cache.scoring import predict_dataset
from expclip_cache.statistics import StatisticsSettings, intervals, item_outcomes, score_draws

BLOCK = 2048
"""Rows of the trial sum of a ridge head."""

TORCH = 4.0
"""Seconds until torch is imported, once, if contrastive heads are to be fitted."""

FIT = 0.4
"""Seconds that each draw takes besides its steps or sums: reading the rows, starting threads."""

SMALL_STEP = 5e8
"""Operations of a step of training below which one thread does it. NumPy would use all, which mostly wait then."""

ONE_CORE = 2e10
"""Operations that one core does in a second."""

OF_AN_AXIS = 5
"""Intervals of single heads that take as long as those of a choice and its change: several heads, more outcomes."""


def estimated_seconds(study: CachedStudy, progress: Progress, choices: int, statistics: StatisticsSettings) -> float:
    """Seconds that fits, predictions and intervals will take: a rough figure, as the machine may have other work.

    Args:
        progress: what is to be done.
        choices: how many have intervals of their own on the page; every cell has one too.
    """
    if not progress.work and not progress.done:
        return 0.0
    example = next(iter([*progress.done, *(cell for work in progress.work for cell in work.missing)])).choice
    by_size = sorted(study.test_sets, key=lambda name: len(study.images(example.backbone, name)))
    middle, sets = by_size[len(by_size) // 2], len(by_size)
    predicting = progress.missing * sets * _prediction(study, example, middle)
    cells = progress.missing + len(progress.done)
    of_intervals = (cells + OF_AN_AXIS * choices) * sets * _interval(study.truth(example.backbone, middle), statistics)
    heads = {next(iter(work.missing)).choice.head for work in progress.work if work.source.fits}
    torch = TORCH * any(isinstance(study.settings.heads[head], ContrastiveSettings) for head in heads)
    return torch + predicting + of_intervals + sum(_of_fits(study, work) for work in progress.work)


def _of_fits(study: CachedStudy, work: Work) -> float:
    head = next(iter(work.missing)).choice.fitted
    if not work.source.fits or head.faces is None:
        return 0.0
    settings, d, t = study.settings.heads[head.head], *_widths(study, head)
    if isinstance(settings, ContrastiveSettings):
        steps = settings.epochs * (head.faces // settings.batch_size) * work.source.fits
        return FIT + steps * _step(settings.batch_size, d, t)
    return FIT + _ridge_seconds(settings, head.faces, d, t)


def _ridge_seconds(settings: RidgeSettings, faces: int, d: int, t: int) -> float:
    """A pass over the faces in blocks, an eigendecomposition, and the losses of every lambda."""
    per_block, per_decomposition, per_operation = _ridge_trials(d, t)
    losses = len(settings.lambdas) * faces * settings.held_out_share * (d + settings.batch_size) * d * 2
    return faces / BLOCK * per_block + per_decomposition + losses * per_operation


@cache
def _ridge_trials(d: int, t: int) -> tuple[float, float, float]:
    """Seconds of a block of the sums, of an eigendecomposition, and of one operation of a product (d, d)."""
    x, y, square = np.ones((BLOCK, d)), np.ones((BLOCK, t)), np.eye(d)
    return (
        _seconds(lambda: (x.T @ x, x.T @ y)),
        _seconds(lambda: np.linalg.eigh(square)),
        _seconds(lambda: square @ square) / (2 * d**3),
    )


@cache
def _step(batch: int, d: int, t: int) -> float:
    """Seconds of the products of a step of training: z = X W', cosines, and the gradients of both."""
    operations = 4 * batch * t * (d + batch)
    if operations < SMALL_STEP:
        return operations / ONE_CORE
    x, w, y = (np.full(shape, 1e-2, np.float32) for shape in ((batch, d), (t, d), (batch, t)))

    def step() -> None:
        cosines = np.exp(x @ w.T @ y.T)
        np.multiply((cosines @ y).T @ x, 1e-9)

    return _seconds(step)


def _prediction(study: CachedStudy, choice: Choice, test_set: str) -> float:
    """Seconds of the predictions of one head for one test set."""
    images = study.images(choice.backbone, test_set)
    table = study.table(choice.prompts, choice.prompt_type, test_set, choice.backbone)
    head = {"": np.ones((_widths(study, choice.fitted)[1], images.layout.width), np.float32)} if choice.head else {}
    return _seconds(lambda: predict_dataset(images, study.embeddings(choice.backbone), table, head, choice.aggregation))


def _interval(truth: np.ndarray, statistics: StatisticsSettings) -> float:
    """Seconds of an interval of one head on a test set."""
    truth = truth[truth >= 0]
    right, c = np.arange(len(truth)) % 2, int(truth.max()) + 1
    return _seconds(lambda: intervals(score_draws(item_outcomes(truth, right, c), statistics, ""), statistics))


def _widths(study: CachedStudy, head: HeadChoice) -> tuple[int, int]:
    """Widths d and t of a head."""
    return study.training_images(head.backbone).layout.width, study.targets(head.teacher)[0].width


def _seconds(function: Callable[[], object]) -> float:
    """Of the fastest of some calls: the first one also loads, and the machine may have other work."""
    found: list[float] = []
    while len(found) < 3 or (len(found) < 20 and sum(found) < 0.3):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)
