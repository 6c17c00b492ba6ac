"""The settings of the frozen backbones: the entries of `backbones:` in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from expclip_cache.base import Section
from expclip_cache.encoders import versions
from expclip_cache.encoders.identity_settings import image_versions, implied
from expclip_cache.encoders.kinds.registry import KINDS

Pool = Literal["mean", "none", "first", "max", "attention", "temporal"]
"""How the features of a clip's frames become the clip's.

`mean` averages them while they are encoded. `none` keeps every frame's. The others read the features that a backbone
with the same settings and `none` has kept, see `extraction.pooling`.
"""

FROM_FRAMES = ("first", "max", "attention", "temporal")
"""The poolings that read kept frames."""


def _known_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, found {kind!r}")
    return kind


class ClipSettings(Section):
    """The frozen CLIP, or another image-text model: one side encodes the images, the other the prompts.

    Attributes:
        kind: of model, see `encoders.kinds.registry`.
        model: for kind `open-clip` it is `demo`, an architecture of open_clip, `hf-hub:<owner>/<name>`, or a folder
            with open_clip_config.json; for the others see their modules in `encoders.kinds`. A kind may have an
            architecture of its own, which then stands for `demo`.
        weights: `pretrained`, one of open_clip's tags, a file of weights, or `random`.
        revision: commit, branch or tag of the weights' repository on the hub. What counts are the hashes of the files,
            so it is not part of a cache's identity.
        preprocess: `reference` stretches the image to a square without mean and standard deviation, as Exp-CLIP does;
            `clip` does what the model was trained with, such as CLIP's crop, mean and standard deviation.
        decode: see `encoders.preprocess.Decode`.
        precision: of weights and activations.
        pool: see `Pool`.
        published_as: the system of the published tables that it is, such as FaRL; says nothing about its features.
    """

    kind: Annotated[str, AfterValidator(_known_kind)] = "open-clip"
    model: str = "demo"
    weights: str = "pretrained"
    revision: str | None = None
    preprocess: Literal["reference", "clip"] = "reference"
    decode: Literal["full", "draft"] = "full"
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    pool: Pool = "mean"
    published_as: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _model_of_kind(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("model", "demo") == "demo" and values.get("kind") in KINDS:
            return {**values, "model": KINDS[values["kind"]].model}
        return values

    @model_validator(mode="after")
    def _has_temporal_model(self) -> Self:
        if self.pool == "temporal" and not KINDS[self.kind].temporal:
            kinds = ", ".join(name for name, kind in KINDS.items() if kind.temporal)
            raise ValueError(
                f"pool is temporal, but kind {self.kind} has no temporal model; expected mean, none, first, max or "
                f"attention, or one of the kinds {kinds}"
            )
        return self

    @property
    def reads_frames(self) -> bool:
        """Whether its features are pooled from those that another backbone has kept of every frame."""
        return self.pool in FROM_FRAMES

    def image_settings(self) -> dict[str, str | int]:
        """Everything that determines an image feature, code versions included."""
        settings = self.model_dump(exclude=implied(self))
        trained = {"trained_preprocess_version": versions.TRAINED_PREPROCESS} if self.preprocess == "clip" else {}
        return {"encoder": "clip-image", **settings, **trained, **image_versions(KINDS[self.kind].version)}

    def pooled_settings(self) -> dict[str, str | int]:
        """Everything that determines a feature that was pooled from kept frames."""
        return {**self.image_settings(), "temporal_pooling_version": versions.TEMPORAL_POOLING}

    def text_settings(self) -> dict[str, str | int]:
        """Everything that determines a text feature, code versions included."""
        settings = self.model_dump(exclude={"preprocess", "decode", "pool", *implied(self)})
        return {"encoder": "clip-text", **settings, "encoder_version": KINDS[self.kind].version}
