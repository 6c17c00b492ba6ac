"""What an extraction is asked to do: CLIP image features or LLM targets of one dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from expclip_cache.cache import Json, canonical_json
from expclip_cache.datasets import Manifest, Root
from expclip_cache.encoders import KINDS, AnswerSettings, ClipSettings, LlmSettings, file_hashes, library_versions

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders import Preprocess


class Encoder(Protocol):
    """A frozen image encoder, loaded."""

    @property
    def width(self) -> int:
        """Width of each of an image's vectors."""
        ...

    @property
    def vectors(self) -> int:
        """How many vectors an image has; LLM targets and most image features are one."""
        ...

    @property
    def preprocess(self) -> "Preprocess":
        """How an image becomes the pixels that `encode_images` takes."""
        ...

    @property
    def device(self) -> "torch.device":
        """Where it runs."""
        ...

    def describe(self) -> dict[str, Json]:
        """What is known only once it is loaded: `weights_sha256`, `width`, ...

        And `library`, which is recorded but not part of the identity.
        """
        ...

    def encode_images(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(b, 3, h, w) uint8 -> (b, w) float32, raw."""
        ...


@runtime_checkable
class WholeClipEncoder(Protocol):
    """A frozen encoder whose features of a clip are not made of features of single frames."""

    def encode_clips(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(b, f, 3, h, w) uint8 -> (b, w) float32, raw; f is 1 for an image."""
        ...


@dataclass(frozen=True, eq=False)
class RequestedEncoder:
    """A frozen image encoder that is not loaded yet. Two with the same settings are the same encoder.

    Attributes:
        settings: every setting of the encoder that changes a number, by name; known without loading it. `weights` and
            `precision` are among them.
        revision: commit, branch or tag of its repository on the hub, if the settings name one.
        files: gives the hashes of its files by name, where they are on this machine, else None; compared with those
            that a cache was made with. Takes commits, as `owner/name@commit`, of repositories whose revision the
            settings do not name.
        libraries: gives the installed versions of what makes the features, by name, without loading it.
        load: builds the encoder of such commits on the device it is given (see `RunSettings.device`); called by each
            worker, only if there is something to encode. Picklable.
        modules: that `load` imports and that take long.
    """

    settings: Mapping[str, Json]
    revision: str | None
    files: Callable[[Sequence[str]], Mapping[str, Json] | None]
    libraries: Callable[[], Mapping[str, str]]
    load: Callable[[Sequence[str], str], Encoder]
    modules: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """The settings and the revision as canonical JSON."""
        return canonical_json([dict(self.settings), self.revision])


@dataclass(frozen=True)
class Job:
    """One extraction: whose images, which encoder, into which cache.

    Attributes:
        root: gives the folder or address of the images; called only if there is something to encode.
        out: folder or address of the cache.
        shared_with: how many other encoders of the study read these images with the same preprocessing; decides
            whether `run.pixels: auto` keeps the decoded images.
    """

    manifest: Manifest
    root: Callable[[], Root]
    encoder: RequestedEncoder
    out: Path | str
    shared_with: int = 0

    @property
    def settings(self) -> Mapping[str, Json]:
        """Of the cache's identity: those of the encoder, and how many frames a row keeps if they are kept."""
        kept = {"frames": self.manifest.frames} if keeps_frames(self.encoder.settings) else {}
        return {**self.encoder.settings, **kept}


def keeps_frames(settings: Mapping[str, Json]) -> bool:
    """Whether features with these settings are those of every frame."""
    return settings.get("pool") == "none"


def clip_encoder(clip: ClipSettings) -> RequestedEncoder:
    """The image side of a backbone; nothing is loaded yet."""
    return RequestedEncoder(
        settings=clip.image_settings(),
        revision=clip.revision,
        files=partial(file_hashes, clip),
        libraries=partial(library_versions, clip),
        load=partial(_load_backbone, clip),
        modules=KINDS[clip.kind].imports,
    )


def llm_encoder(llm: LlmSettings, draw: int = 0) -> RequestedEncoder:
    """A frozen LLM that sees images, up to the hidden states that are kept; nothing is loaded yet.

    Args:
        draw: which draw of the dropout masks, in mode dropout.
    """
    return RequestedEncoder(
        settings=llm.target_settings(draw),
        revision=llm.revision,
        files=partial(file_hashes, llm),
        libraries=partial(library_versions, llm),
        load=partial(_load_llm, llm, draw),
        modules=("expclip_cache.encoders.vlm_states" if llm.kind == "vlm" else "expclip_cache.encoders.blip2_t5",),
    )


def answer_encoder(answers: AnswerSettings, classes: Sequence[str]) -> RequestedEncoder:
    """An LLM that is asked for the class of each image; nothing is loaded yet.

    Args:
        classes: of the dataset, in its order.
    """
    return RequestedEncoder(
        settings=answers.answer_settings(classes),
        revision=answers.revision,
        files=partial(file_hashes, answers),
        libraries=partial(library_versions, answers),
        load=partial(_load_answers, answers, tuple(classes)),
        modules=(
            ("expclip_cache.encoders.t5_answers",)
            if answers.kind == "t5-encoder"
            else ("expclip_cache.encoders.vlm_answers",)
        ),
    )


def clip_job(manifest: Manifest, root: Callable[[], Root], clip: ClipSettings, out: Path | str) -> Job:
    """CLIP image features of a dataset; nothing is loaded yet."""
    return Job(manifest, root, clip_encoder(clip), out)


def llm_job(manifest: Manifest, root: Callable[[], Root], llm: LlmSettings, out: Path | str, draw: int = 0) -> Job:
    """LLM targets of a dataset; nothing is loaded yet.

    Args:
        draw: which draw of the dropout masks, in mode dropout.
    """
    return Job(manifest, root, llm_encoder(llm, draw), out)


def _load_backbone(clip: ClipSettings, commits: Sequence[str], device: str) -> Encoder:
    from expclip_cache.encoders import load_backbone
    from expclip_cache.workers import resolve_device

    return load_backbone(clip, resolve_device(device), commits)


def _load_llm(llm: LlmSettings, draw: int, commits: Sequence[str], device: str) -> Encoder:
    from expclip_cache.encoders import load_teacher
    from expclip_cache.workers import resolve_device

    return load_teacher(llm, resolve_device(device), draw, commits)


def _load_answers(answers: AnswerSettings, classes: Sequence[str], commits: Sequence[str], device: str) -> Encoder:
    from expclip_cache.encoders import load_answers
    from expclip_cache.workers import resolve_device

    return load_answers(answers, classes, resolve_device(device), commits)
