"""A frozen image-text model of any kind: what the rest of the package knows of a backbone."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from expclip_cache.encoders.kinds.registry import KINDS
from expclip_cache.encoders.settings import ClipSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.files import EncoderFiles
    from expclip_cache.encoders.preprocess import Preprocess


class ImageTextEncoder(Protocol):
    """A frozen backbone in evaluation mode. Its features are raw, not L2-normalised."""

    @property
    def width(self) -> int:
        """d, the width of an image's vectors and of a text's."""
        ...

    @property
    def vectors(self) -> int:
        """q, the vectors of an image: 1 for most models."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the square that it takes, in pixels."""
        ...

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by in its own loss."""
        ...

    @property
    def device(self) -> "torch.device":
        """Where it runs."""
        ...

    @property
    def preprocess(self) -> "Preprocess":
        """How an image becomes the pixels that `encode_images` takes."""
        ...

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values.

        Hashes of its files, `width`, `image_size`, `context_length`, `logit_scale`, and `vectors` unless it is 1; and
        `library`, which is recorded but not part of a cache's identity.
        """
        ...

    def encode_images(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(b, 3, h, w) uint8 -> (b, q * d) float32 on `device`, raw."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> "torch.Tensor":
        """P texts -> (p, d) float32 on `device`, raw.

        Raises:
            EncoderError: a text is longer than the model reads.
        """
        ...


class TemporalEncoder(ImageTextEncoder, Protocol):
    """A backbone with a model of its own from the features of a clip's frames to the clip's."""

    def pool_frames(self, features: "torch.Tensor") -> "torch.Tensor":
        """Raw features of frames, (n, f, d) float32, in the clip's order -> (n, d) float32 on `device`, raw."""
        ...


def load_backbone(settings: ClipSettings, device: "torch.device", commits: Sequence[str] = ()) -> ImageTextEncoder:
    """Build the backbone that the settings name, of whatever kind, and freeze it.

    Args:
        device: where the model runs.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: files are missing, do not fit or belong to another kind of model, or the hub cannot be reached.
    """
    return cast(ImageTextEncoder, _module(settings).load(settings, device, commits))


def find_backbone_files(
    settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False
) -> "EncoderFiles":
    """Find the files that `load_backbone` needs, and download them unless `local_only`.

    Raises:
        EncoderError: see `load_backbone`.
    """
    return _module(settings).find_files(settings, commits, local_only=local_only)


def _module(settings: ClipSettings) -> Any:
    return import_module(f"expclip_cache.encoders.kinds.{KINDS[settings.kind].module}")
