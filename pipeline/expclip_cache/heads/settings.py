"""How projection heads are fitted: the entries of `heads:` in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from expclip_cache.base import Name, Section


class StudySettings(Section):
    """Which encoders of the study a head is fitted for.

    Attributes:
        backbones: names of backbones; empty: every one.
        teachers: names of teachers; empty: every one.
    """

    backbones: tuple[Name, ...] = ()
    teachers: tuple[Name, ...] = ()


class ContrastiveSettings(StudySettings):
    """Heads fitted by SGD on the contrastive loss, one per seed. The defaults are the reference's.

    Attributes:
        lr: learning rate of SGD, constant.
        momentum: of SGD.
        weight_decay: of SGD.
        epochs: passes over the images.
        batch_size: images per step; the last partial batch of an epoch is dropped.
        seeds: of the initial weights and the shuffling; one head each.
    """

    kind: Literal["contrastive"] = "contrastive"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    epochs: Annotated[int, Field(ge=1)] = 5
    batch_size: Annotated[int, Field(ge=2)] = 512
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1,)

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {list(self.seeds)}; expected each seed once, for each gives one head")
        return self


class RidgeSettings(StudySettings):
    """A head fitted in closed form by ridge regression. Every lambda is relative to the mean eigenvalue of X'X.

    Attributes:
        lambdas: candidates for `choose: held_out`.
        choose: `held_out` chooses lambda on held-out images, without labels; `fixed` takes the value of `fixed`.
        fixed: lambda for `choose: fixed`.
        held_out: share of the images that are held out.
        tolerance: share of the best held-out gain that may be given up for a larger lambda.
        batch_size: images per batch of the held-out contrastive loss.
    """

    kind: Literal["ridge"] = "ridge"
    lambdas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = tuple(
        round(10 ** (quarter / 4 - 4), 6) for quarter in range(20)
    )
    choose: Literal["held_out", "fixed"] = "held_out"
    fixed: Annotated[float, Field(gt=0)] = 0.1
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.03
    batch_size: Annotated[int, Field(ge=2)] = 512

    @property
    def held_out_share(self) -> float:
        """Share of the rows that are left out of the fit: 0 for a fixed lambda."""
        return self.held_out if self.choose == "held_out" else 0.0


HeadSettings = Annotated[ContrastiveSettings | RidgeSettings, Field(discriminator="kind")]
"""An entry of `heads:`; its `kind` says how the head is fitted."""


class TrainSettings(Section):
    """What the heads learn from.

    Attributes:
        dataset: whose features are used; its labels never are.
    """

    dataset: Name
