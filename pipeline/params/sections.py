"""The sections of params.yaml as frozen, self-validating settings."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="letters, digits, - and _")]
"""A name that becomes a folder and a DVC stage key."""


class Section(BaseModel):
    """One section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _batch_size(value: object) -> object:
    """Said in one sentence, where a union would be reported choice by choice."""
    if value != "auto" and not (isinstance(value, int | str) and str(value).isdecimal() and int(value) > 0):
        raise ValueError(f"expected auto or a number of pictures from 1, found {value!r}")
    return value


BatchSize = Annotated[int | Literal["auto"], BeforeValidator(_batch_size)]
"""Pictures at once, or `auto`; see `pipeline.extraction.batch_size`."""


class RunParams(Section):
    """How to run. Changes no result beyond rounding, so no stage is re-run for it."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    batch_size: BatchSize = "auto"
    workers: Annotated[int, Field(ge=0)] = 2
    pixels: Path | None = None
    executor: Literal["local", "ray"] = "local"
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"


def _unsaid(encoder: "ClipParams | LlmParams") -> set[str]:
    """Settings that a cache does not record: the full decoding of pictures is what goes without saying."""
    return {"decode"} if encoder.decode == "full" else set()


class ClipParams(Section):
    """The frozen CLIP: its image tower sees the faces, its text tower reads the prompts."""

    name: Name
    model: str
    weights: str = "pretrained"
    preprocess: Literal["reference", "clip"] = "reference"
    decode: Literal["full", "draft"] = "full"
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"

    def image_settings(self) -> dict[str, str]:
        """What of this changes an image feature; the name of the folder does not."""
        return {"encoder": "clip-image", **self.model_dump(exclude={"name", *_unsaid(self)})}

    def text_settings(self) -> dict[str, str]:
        """What of this changes a text feature."""
        return {"encoder": "clip-text", **self.model_dump(exclude={"name", "preprocess", "decode"})}


class LlmParams(Section):
    """The frozen BLIP-2 or InstructBLIP with a T5, whose encoder states are the targets."""

    name: Name
    model: str
    weights: Literal["pretrained", "random"] = "pretrained"
    revision: str | None = None
    instruction: str
    mode: Literal["eval", "dropout"] = "eval"
    draws: Annotated[int, Field(ge=1)] = 1
    preprocess: Literal["reference", "clip"] = "reference"
    decode: Literal["full", "draft"] = "full"
    precision: Literal["fp32", "reference"] = "fp32"

    @model_validator(mode="after")
    def _only_dropout_is_drawn(self) -> Self:
        if self.draws > 1 and self.mode == "eval":
            raise ValueError(f"draws is {self.draws}, but targets in mode eval are always the same; use mode: dropout")
        return self

    def settings(self, draw: int = 0) -> dict[str, str | int | None]:
        """What of this changes a target; the name of the folder does not, nor how many draws there are."""
        drawn = {"draw": draw} if self.mode == "dropout" else {}
        return {"encoder": "llm-target", **self.model_dump(exclude={"name", "draws", *_unsaid(self)}), **drawn}


class CacheParams(Section):
    """How features are stored."""

    shard_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    dtype: Literal["float16", "float32"] = "float16"
    on_bad_image: Literal["skip", "fail"] = "skip"
    on_mismatch: Literal["refuse", "replace"] = "refuse"


class DatasetParams(Section):
    """One dataset: what DVC watches for it, how it lies on disk, how clips are sampled.

    `source` is a folder of pictures, whose `layout` stands here, or a dataset definition (a .yaml file, see
    `pipeline.datasets.definition`), which brings layout, classes and published counts. The pictures' folder
    then comes from the environment or from roots.yaml: no machine's path enters this file.
    """

    source: Annotated[str, Field(min_length=1)]
    layout: Literal["image-folders", "frame-folders", "clip-list", "ferplus-csv"] | None = None
    classes: tuple[str, ...] = ()
    labelled: bool = True
    fold: Annotated[int, Field(ge=1)] | None = None
    frames: Annotated[int, Field(ge=1)] = 16
    short_clip: Literal["first", "edge"] = "edge"

    @property
    def is_definition(self) -> bool:
        """Whether `source` names a definition rather than a folder."""
        return self.source.endswith((".yaml", ".yml"))

    @model_validator(mode="after")
    def _folders_need_a_layout(self) -> Self:
        if self.classes and not self.labelled:
            raise ValueError("classes are given, but labelled is false; drop one of the two")
        if self.is_definition:
            return self
        if self.layout not in ("image-folders", "frame-folders"):
            found = "none" if self.layout is None else self.layout
            raise ValueError(
                f"a source that is a folder needs layout: image-folders or frame-folders, found {found}; "
                "anything else needs a definition file as its source"
            )
        if self.fold is not None:
            raise ValueError(f"fold {self.fold} is given, but only a definition file can have folds")
        return self


class DemoSetParams(Section):
    """One rendered set of demo faces."""

    count: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    style: Literal["clean", "grey", "occluded", "drawing"] = "clean"
    kind: Literal["images", "clips"] = "images"
    labelled: bool = True


class PromptParams(Section):
    """Which prompts describe the classes."""

    set: Annotated[str, Field(pattern=r"^(reference|clean|.+\.ya?ml)$")] = "reference"
    types: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (2, 5)
    aggregation: Literal["mean", "renorm_mean", "nearest"] = "mean"

    @property
    def is_file(self) -> bool:
        """Whether the prompts come from a user's file."""
        return self.set.endswith((".yaml", ".yml"))


Fit = Literal["contrastive", "ridge"]


class RidgeParams(Section):
    """The head in closed form. Every lambda is relative to the mean eigenvalue of X'X."""

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


class TrainParams(Section):
    """The projection head's recipe; the defaults are the reference's."""

    dataset: Name
    lr: Annotated[float, Field(gt=0)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    epochs: Annotated[int, Field(ge=1)] = 5
    batch_size: Annotated[int, Field(ge=2)] = 512
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)
    fit: Annotated[tuple[Fit, ...], Field(min_length=1)] = ("contrastive",)
    ridge: RidgeParams = RidgeParams()

    @property
    def heads(self) -> dict[Fit, tuple[str, ...]]:
        """The names of the heads each fit makes: a seed each, or one where nothing is random."""
        names: dict[Fit, tuple[str, ...]] = {
            "contrastive": tuple(f"seed-{seed}" for seed in self.seeds),
            "ridge": ("ridge",),
        }
        return {fit: names[fit] for fit in self.fit}


class ScoreParams(Section):
    """Which datasets are scored."""

    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]


class Params(Section):
    """The whole file."""

    run: RunParams = RunParams()
    clip: ClipParams
    llm: LlmParams
    cache: CacheParams = CacheParams()
    prompts: PromptParams = PromptParams()
    train: TrainParams
    score: ScoreParams
    datasets: dict[Name, DatasetParams]
    demo: dict[Name, DemoSetParams] = {}

    @model_validator(mode="after")
    def _names_refer_to_datasets(self) -> Self:
        for where, name in [("train.dataset", self.train.dataset)] + [
            ("score.datasets", n) for n in self.score.datasets
        ]:
            if name not in self.datasets:
                raise ValueError(f"{where} names {name!r}, which is not in datasets: {', '.join(self.datasets)}")
        if self.prompts.is_file and Path(self.prompts.set).parts[:1] != ("prompts",):
            raise ValueError(
                f"prompts.set is {self.prompts.set!r}, but changes are seen in the folder prompts/ alone; move it there"
            )
        if self.clip.name == self.llm.name:
            raise ValueError(f"clip.name and llm.name are both {self.clip.name!r}; their features need two folders")
        if "ridge" in self.train.fit and self.llm.draws > 1:
            raise ValueError("train.fit ridge takes one target a picture, and llm.draws asks for more; set draws: 1")
        if "prompts" in self.datasets:
            raise ValueError("datasets: 'prompts' is the folder of the prompt embeddings; choose another name")
        return self
