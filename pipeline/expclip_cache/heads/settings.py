"""How projection heads are fitted: `train:` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from expclip_cache.base import Name, Section

Fit = Literal["contrastive", "ridge"]
"""How a head is fitted: by gradient descent on the contrastive loss, or in closed form by ridge regression."""


class ContrastiveSettings(Section):
    """The contrastive fit; the defaults are the reference's.

    Attributes:
        seeds: of initialisation and shuffling; one head each.
    """

    lr: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    epochs: Annotated[int, Field(ge=1)] = 5
    batch_size: Annotated[int, Field(ge=2)] = 512
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)


class RidgeSettings(Section):
    """The closed-form fit. Every lambda is relative to the mean eigenvalue of X'X.

    Attributes:
        lambdas: candidates, where lambda is chosen.
        choose: `held_out` chooses on held-out, unlabelled faces; `fixed` takes the lambda given.
        fixed: that lambda.
        held_out: share of the faces that are held out.
        tolerance: share of the best held-out gain that may be given up for a larger lambda.
    """

    lambdas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = tuple(
        round(10 ** (quarter / 4 - 4), 6) for quarter in range(20)
    )
    choose: Literal["held_out", "fixed"] = "held_out"
    fixed: Annotated[float, Field(gt=0)] = 0.1
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.03

    @property
    def held_out_share(self) -> float:
        """Share of the rows that only choose lambda; a fixed lambda needs none."""
        return self.held_out if self.choose == "held_out" else 0.0


class TrainSettings(ContrastiveSettings):
    """What the stage `train` fits, and on which dataset's features.

    Attributes:
        dataset: whose faces; labels are never used.
        fit: the fits to make, each giving heads of its own.
    """

    dataset: Name
    fit: Annotated[tuple[Fit, ...], Field(min_length=1)] = ("contrastive",)
    ridge: RidgeSettings = RidgeSettings()

    @property
    def heads(self) -> dict[Fit, tuple[str, ...]]:
        """The names of the heads of each fit: one per seed, or one where nothing is random."""
        names: dict[Fit, tuple[str, ...]] = {
            "contrastive": tuple(f"seed-{seed}" for seed in self.seeds),
            "ridge": ("ridge",),
        }
        return {fit: names[fit] for fit in self.fit}
