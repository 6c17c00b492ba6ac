"""What an extraction is asked to do: CLIP image features or LLM targets of one dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from expclip_cache.cache import Json
from expclip_cache.datasets import Manifest
from expclip_cache.encoders import ClipSettings, LlmSettings, Preprocess, library_versions, weights_sha256

if TYPE_CHECKING:
    import torch


class Encoder(Protocol):
    """A frozen image encoder, loaded."""

    @property
    def width(self) -> int:
        """Width w of the features."""
        ...

    @property
    def preprocess(self) -> Preprocess:
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


@dataclass(frozen=True)
class Job:
    """One extraction: whose images, which settings, into which cache.

    Attributes:
        root: gives the folder of the images; called only if there is something to encode.
        settings: every setting of the encoder that changes a number, by name; known without loading it.
        weights: SHA-256 of the weights where they are on this machine, else None; compared with a finished cache's.
        libraries: gives the installed versions of what makes the features, by name, without loading it.
        load: builds the encoder on the device it is given (see `RunSettings.device`); called by each worker, only if
            there is something to encode. Picklable.
        out: folder or address of the cache.
    """

    manifest: Manifest
    root: Callable[[], Path]
    settings: dict[str, Json]
    weights: Callable[[], str | None]
    libraries: Callable[[], Mapping[str, str]]
    load: Callable[[str], Encoder]
    out: Path | str


def clip_job(manifest: Manifest, root: Callable[[], Path], clip: ClipSettings, out: Path | str) -> Job:
    """CLIP image features of a dataset; nothing is loaded yet."""
    return Job(
        manifest=manifest,
        root=root,
        settings=clip.image_settings(),
        weights=partial(weights_sha256, clip),
        libraries=partial(library_versions, clip),
        load=partial(_load_clip, clip),
        out=out,
    )


def llm_job(manifest: Manifest, root: Callable[[], Path], llm: LlmSettings, out: Path | str, draw: int = 0) -> Job:
    """LLM targets of a dataset; nothing is loaded yet.

    Args:
        draw: which draw of the dropout masks, in mode dropout.
    """
    return Job(
        manifest=manifest,
        root=root,
        settings=llm.target_settings(draw),
        weights=partial(weights_sha256, llm),
        libraries=partial(library_versions, llm),
        load=partial(_load_llm, llm, draw),
        out=out,
    )


def _load_clip(clip: ClipSettings, device: str) -> Encoder:
    from expclip_cache.encoders import load_clip
    from expclip_cache.workers import resolve_device

    return load_clip(clip, resolve_device(device))


def _load_llm(llm: LlmSettings, draw: int, device: str) -> Encoder:
    from expclip_cache.encoders import load_blip2_t5
    from expclip_cache.workers import resolve_device

    return load_blip2_t5(llm, resolve_device(device), draw)
