"""The closed-form head of one state, with lambda chosen on held-out images, as `fit_ridge` chooses it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.heads import Moments, RidgePath, choose_lambda, even_batches, held_out_losses
from expclip_cache.teachers.inputs import TeacherInputs, TeacherTargets

Batch = tuple[np.ndarray, np.ndarray]
"""Image features (b, d) and targets (b, t) of some held-out images, both raw."""


@dataclass(frozen=True, eq=False)
class StateHead:
    """The head of one state.

    Attributes:
        weights: W (t, d) float32.
        relative_lambda: lambda relative to the mean eigenvalue of X'X.
    """

    weights: np.ndarray
    relative_lambda: float


def fit_state(inputs: TeacherInputs, targets: TeacherTargets, state: int, sums: Moments) -> StateHead | None:
    """Fit a head; None if none tells held-out images apart better than chance.

    Args:
        state: number of the state.
        sums: of its targets over the rows that heads are fitted on.
    """
    path, settings = RidgePath(sums), inputs.ridge
    batches = held_out_batches(inputs, targets, state)
    losses = held_out_losses(path, settings.lambdas, batches, inputs.images.logit_scale)
    try:
        chosen = choose_lambda(losses, settings.tolerance)
    except DataError:
        return None
    return StateHead(path.head(chosen).astype(np.float32), chosen)


def held_out_batches(inputs: TeacherInputs, targets: TeacherTargets, state: int) -> Iterator[Batch]:
    """The held-out images with one state of their targets, batch by batch."""
    for rows in even_batches(inputs.held_out, inputs.ridge.batch_size):
        yield inputs.images.item_vectors(rows), targets.read(rows)[:, state]
