"""Settings of the projection head: `train:` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from expclip_cache.base import Name, Section

Fit = Literal["contrastive", "ridge"]
"""How a head is fitted: by SGD on the contrastive loss, or in closed form by ridge regression."""


class ContrastiveSettings(Section):
    """The contrastive fit. The defaults are the reference's.

    Attributes:
        lr: learning rate of SGD, constant.
        momentum: of SGD.
        weight_decay: of SGD.
        epochs: passes over the images.
        batch_size: images per step; the last partial batch of an epoch is dropped.
        seeds: of the initial weights and the shuffling; one head each.
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
        lambdas: candidates for `choose: held_out`.
        choose: `held_out` chooses lambda on held-out images, without labels; `fixed` takes the value of `fixed`.
        fixed: lambda for `choose: fixed`.
        held_out: share of the images that are held out.
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
        """Share of the rows that are left out of the fit: 0 for a fixed lambda."""
        return self.held_out if self.choose == "held_out" else 0.0


class TrainSettings(ContrastiveSettings):
    """What the stage `train` fits, and on which dataset.

    Attributes:
        dataset: whose features are used; its labels never are.
        fit: the fits to make, each giving heads of its own.
        ridge: settings of the closed-form fit; its held-out loss uses `batch_size` too.
    """

    dataset: Name
    fit: Annotated[tuple[Fit, ...], Field(min_length=1)] = ("contrastive",)
    ridge: RidgeSettings = RidgeSettings()

    @property
    def heads(self) -> dict[Fit, tuple[str, ...]]:
        """The names of each fit's heads: one per seed, or a single one for ridge, which has no randomness."""
        names: dict[Fit, tuple[str, ...]] = {
            "contrastive": tuple(f"seed-{seed}" for seed in self.seeds),
            "ridge": ("ridge",),
        }
        return {fit: names[fit] for fit in self.fit}
