"""What probes are trained on."""

from typing import Annotated

from pydantic import Field

from expclip_cache.base import Section

Shots = Annotated[int, Field(ge=1)]


class ProbeSettings(Section):
    """What probes are trained on.

    Attributes:
        folds: of the cross-validation within a test set that has no folds of its own.
        few_shot_on: the test set that a few items are drawn from; None for the first.
        shots: items of each class in a draw.
        draws: how often that many are drawn.
        few_shot_l2: l2 strength of these probes, see `fit_probe`.
        seed: of folds, held-out parts and draws.
    """

    folds: Annotated[int, Field(ge=2)] = 5
    few_shot_on: str | None = None
    shots: Annotated[tuple[Shots, ...], Field(min_length=1)] = (1, 2, 4, 8, 16)
    draws: Annotated[int, Field(ge=1)] = 5
    few_shot_l2: Annotated[float, Field(gt=0)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
