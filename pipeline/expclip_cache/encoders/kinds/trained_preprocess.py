"""How a model of transformers was trained to see images, from its makers' preprocessor_config.json."""

import math
from collections.abc import Mapping
from typing import Any

from expclip_cache.base import EncoderError
from expclip_cache.encoders.kinds.hugging_face import CONFIG, PREPROCESSOR, HuggingFaceFiles
from expclip_cache.encoders.preprocess import Preprocess, preprocess
from expclip_cache.encoders.settings import ClipSettings

INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers."""


def image_preprocess(
    settings: ClipSettings, files: HuggingFaceFiles, model_size: object, *, whole_number: str = "shortest"
) -> Preprocess:
    """How an image becomes the pixels that the model takes.

    Args:
        settings: with `preprocess: clip` it is what the makers say, and never guessed.
        model_size: of the images that the model takes, in pixels, as its config says.
        whole_number: what a `size` that is one number means to this model's class: `shortest` side, or `squash`.

    Raises:
        EncoderError: the model takes images that are not square; or with `preprocess: clip`, the makers do not say, or
            name a way that is not supported.
    """
    size = square_side(model_size)
    if size is None:
        raise EncoderError(
            f"backbone: {files.folder / CONFIG}: the model takes images of {model_size} pixels; only square ones are "
            "supported."
        )
    if settings.preprocess == "reference":
        return preprocess("reference", size, settings.decode)
    return preprocess("clip", size, settings.decode, _trained(files, size, whole_number))


def _trained(files: HuggingFaceFiles, size: int, whole_number: str) -> dict[str, Any]:
    said = files.preprocessor
    where = files.folder / PREPROCESSOR

    def refused(what: str) -> EncoderError:
        return EncoderError(f"preprocess: clip: {where} {what}. Set preprocess: reference, or choose another model.")

    needed = {"image_mean", "image_std", "size"} if said.get("do_normalize", True) else {"size"}
    if missing := sorted(needed - said.keys()):
        raise refused(f"is missing or does not say {', '.join(missing)}")
    if not math.isclose(said.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-3):
        raise refused(f"has rescale_factor {said['rescale_factor']}; expected 1/255")
    resize_mode, resized = _resize(said["size"], whole_number)
    crops = said.get("do_center_crop", "crop_size" in said)
    # Early image processors of transformers, such as the published X-CLIPs', crop to `size` and have no `crop_size`.
    cropped = square_side(said["crop_size"]) if crops and "crop_size" in said else resized
    if not said.get("do_resize", True):
        raise refused("does not resize images")
    if resized != size or cropped != size:
        raise refused(f"resizes to {said['size']} and crops to {said.get('crop_size')}; expected both to be {size}")
    if resize_mode == "shortest" and not crops:
        raise refused("leaves images that are not square; expected do_center_crop")
    if (resample := said.get("resample", 3)) not in INTERPOLATIONS:
        raise refused(f"has resample {resample!r}; expected 3 (bicubic) or 2 (bilinear)")
    normalised = bool(said.get("do_normalize", True))
    return {
        "mean": said["image_mean"] if normalised else 0,
        "std": said["image_std"] if normalised else 1,
        "interpolation": INTERPOLATIONS[resample],
        "resize_mode": resize_mode,
    }


def _resize(size: object, whole_number: str) -> tuple[str, int | None]:
    """How images are resized, and to which side; None for what is no square."""
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return "shortest", square_side(size["shortest_edge"])
    return ("squash" if isinstance(size, Mapping) else whole_number), square_side(size)


def square_side(size: object) -> int | None:
    """The side of a square, in pixels; None for anything else."""
    if isinstance(size, Mapping):
        size = [size.get("height"), size.get("width")]
    if isinstance(size, list | tuple) and size:
        size = size[0] if all(side == size[0] for side in size) else None
    return size if isinstance(size, int) and size > 0 else None
