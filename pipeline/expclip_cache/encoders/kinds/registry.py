"""The kinds of backbones, by the name that `kind` has in params.yaml.

A kind is one module beside this one and one entry here. The module has two functions, and imports its libraries inside
them, so that files can be compared without waiting for a library:

- `find_files(settings, commits=(), *, local_only=False) -> EncoderFiles`: the files that its features depend on. Raises
  `EncoderError` if one is missing or belongs to another model.
- `load(settings, device, commits=()) -> ImageTextEncoder`: the frozen model on its device.

docs/backbones.md goes through an example.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from expclip_cache.encoders import versions

TRANSFORMERS = ("transformers", "torch", "Pillow")


class Kind(NamedTuple):
    """One kind of image-text model.

    Attributes:
        module: its name in `expclip_cache.encoders.kinds`.
        constant: of `encoders.versions`, the version of the code that computes its features.
        libraries: whose versions are recorded; empty if that depends on the model.
        imports: modules that take long to import, which workers load ahead.
        model: the architecture if the settings name none.
        temporal: whether it has a model of a clip's frames: its encoder is a `TemporalEncoder`.
    """

    module: str
    constant: str
    libraries: tuple[str, ...]
    imports: tuple[str, ...]
    model: str = "demo"
    temporal: bool = False

    @property
    def version(self) -> int:
        """Of the code that computes its features."""
        return getattr(versions, self.constant)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "open-clip": Kind("open_clip", "CLIP", (), ("expclip_cache.encoders.clip",)),
        "transformers": Kind("transformers_clip", "TRANSFORMERS_CLIP", TRANSFORMERS, ("transformers",)),
        "flava": Kind("flava", "FLAVA", TRANSFORMERS, ("transformers",)),
        "x-clip": Kind("x_clip", "X_CLIP", TRANSFORMERS, ("transformers",)),
        "blip2-itc": Kind("blip2_itc", "BLIP2_ITC", TRANSFORMERS, ("transformers",)),
        "lavis-itc": Kind("lavis_itc", "LAVIS_ITC", ("open_clip", *TRANSFORMERS), ("transformers", "open_clip")),
        "emoclip": Kind("emoclip", "EMOCLIP", (), ("open_clip",), "ViT-B-32-quickgelu", temporal=True),
        "emotionclip": Kind("emotionclip", "EMOTIONCLIP", (), ("open_clip",), "ViT-B-32", temporal=True),
    }
)
