"""The settings of the frozen LLMs that see images: the entries of `teachers:` in params.yaml."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from expclip_cache.base import Section
from expclip_cache.encoders import versions
from expclip_cache.encoders.identity_settings import image_versions, implied

INSTRUCTION = (
    "Please play the role of a facial action describer. "
    "Objectively describe the detailed facial actions of the person in the image."
)
"""The reference's instruction."""

LlmKind = Literal["t5-encoder", "vlm"]
"""`t5-encoder` is a BLIP-2 or InstructBLIP with a T5; `vlm` any other image-text model of transformers."""

Read = Literal["last", "text", "all"]
"""Positions that a target is the mean over: the last one, the text after the image, or all."""

Layer = Annotated[float, Field(gt=0, le=1)]
"""A share of the language model's depth; 1 is the last layer."""

VLM_ONLY = ("system", "image_size", "attention", "device_map", "layer", "read", "keep_layers", "keep_reads")
T5_ONLY = ("mode", "draws")


class State(NamedTuple):
    """Hidden states of a language model: which positions, at which share of its depth.

    >>> str(State("last", 0.75))
    'last@0.75'
    """

    read: Read
    layer: float

    def __str__(self) -> str:
        return f"{self.read}@{self.layer:g}"


class LlmModelSettings(Section):
    """A frozen LLM that sees images, and how it sees them.

    Attributes:
        kind: of model, see `LlmKind`.
        model: `demo`, a Hugging Face repository, or a folder.
        weights: `random` builds the model untrained.
        revision: commit, branch or tag of the repository on the hub; not part of a cache's identity.
        preprocess: `reference` as in `ClipSettings`; `clip` is OpenAI's crop, mean and standard deviation. A vlm has
            its own mean and standard deviation, and takes a square that is stretched (`reference`) or cropped.
        decode: see `encoders.preprocess.Decode`.
        precision: `reference` is float16 for the vision model, float32 for the Q-Former and bfloat16 for T5; `bf16` is
            that of a vlm's language model.
        system: the system line of a vlm's chat; none is sent if it is empty.
        image_size: side in pixels of the square that a vlm's own processor is given.
        attention: how a vlm's attention is computed; the two differ by rounding.
        device_map: `auto` spreads a vlm over all devices with accelerate; not part of a cache's identity.
    """

    kind: LlmKind = "t5-encoder"
    model: str = "demo"
    weights: Literal["pretrained", "random"] = "pretrained"
    revision: str | None = None
    preprocess: Literal["reference", "clip"] = "reference"
    decode: Literal["full", "draft"] = "full"
    precision: Literal["fp32", "reference", "bf16"] = "fp32"
    system: Annotated[str, Field(max_length=10_000)] = ""
    image_size: Annotated[int, Field(ge=14, le=2048)] = 224
    attention: Literal["sdpa", "eager"] = "sdpa"
    device_map: Literal["none", "auto"] = "none"

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> Self:
        others = VLM_ONLY if self.kind == "t5-encoder" else T5_ONLY
        fields = type(self).model_fields
        changed = [key for key in others if key in fields and getattr(self, key) != fields[key].default]
        if changed:
            named = " and ".join(changed)
            other = "vlm" if self.kind == "t5-encoder" else "t5-encoder"
            raise ValueError(f"{named}: for kind {other}, but kind is {self.kind}; remove it, or set kind: {other}")
        wrong = "bf16" if self.kind == "t5-encoder" else "reference"
        if self.precision == wrong:
            right = "fp32 or reference" if self.kind == "t5-encoder" else "fp32 or bf16"
            raise ValueError(f"precision is {wrong}; expected {right} for kind {self.kind}")
        if self.kind == "vlm" and self.model == "demo":
            raise ValueError("kind is vlm, but the demo's LLM is a t5-encoder; name a model")
        return self

    @property
    def other_kinds_keys(self) -> set[str]:
        """Keys that do not apply to this kind."""
        return set(VLM_ONLY if self.kind == "t5-encoder" else T5_ONLY)

    def kept_out_of_identity(self) -> set[str]:
        """Keys that change no number, or that do not apply to this kind."""
        return {"device_map", *self.other_kinds_keys, *implied(self)}


class LlmSettings(LlmModelSettings):
    """A frozen LLM that sees images, whose hidden states are the targets; see also `LlmModelSettings`.

    Attributes:
        instruction: the text that follows the image in the LLM's input.
        mode: `eval`, or `dropout` to keep dropout on, as the reference's train() does.
        draws: sets of targets in mode dropout, each with other masks.
        layer, read: of a vlm, the hidden states that heads learn from; by default the last layer at the last position.
        keep_layers, keep_reads: further ones that the same pass caches beside them: each layer with each reading.
    """

    instruction: Annotated[str, Field(max_length=10_000)] = INSTRUCTION
    mode: Literal["eval", "dropout"] = "eval"
    draws: Annotated[int, Field(ge=1)] = 1
    layer: Layer | None = None
    read: Read | None = None
    keep_layers: tuple[Layer, ...] = ()
    keep_reads: tuple[Read, ...] = ()

    @model_validator(mode="after")
    def _draws_need_dropout(self) -> Self:
        if self.draws > 1 and self.mode == "eval":
            raise ValueError(
                f"draws is {self.draws}, but every draw is the same in mode eval. Set mode: dropout or draws: 1"
            )
        return self

    @property
    def states(self) -> tuple[State, ...]:
        """Every state that a row of the targets keeps, in the order of its vectors: by reading, then by layer."""
        if self.kind == "t5-encoder":
            return (State("all", 1.0),)
        wanted = self._wanted_state
        reads: set[Read] = {wanted.read, *self.keep_reads}
        layers = {wanted.layer, *self.keep_layers}
        return tuple(sorted(State(read, layer) for read in reads for layer in layers))

    @property
    def state(self) -> int:
        """Which of `states` heads learn from."""
        return 0 if self.kind == "t5-encoder" else self.states.index(self._wanted_state)

    @property
    def _wanted_state(self) -> State:
        return State(self.read or "last", self.layer or 1.0)

    def target_settings(self, draw: int = 0) -> dict[str, str | int | list[str]]:
        """Everything that determines a target, code versions included; `draws` does not.

        Of a vlm all kept states count, and not which of them heads learn from.
        """
        settings = self.model_dump(exclude={"draws", "layer", "read", *self.kept_out_of_identity()})
        if self.kind == "vlm":
            kept = {"states": [str(state) for state in self.states]}
            for key in ("keep_layers", "keep_reads"):
                settings.pop(key)
            return {"encoder": "llm-target", **settings, **kept, **image_versions(versions.VLM)}
        drawn = {"draw": draw} if self.mode == "dropout" else {}
        return {"encoder": "llm-target", **settings, **drawn, **image_versions(versions.BLIP2_T5)}
