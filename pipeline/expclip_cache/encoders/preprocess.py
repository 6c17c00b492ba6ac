"""How an encoder sees an image: the square of pixels that it takes, and the numbers that it makes of them.

Pixels stay 8-bit until they are on the encoder's device: a quarter of the bytes to copy, and the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from expclip_cache.base import EncoderError

if TYPE_CHECKING:
    import torch

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

MAX_PIXELS = 200_000_000
"""Largest image that is decoded, in pixels: above it a small file could fill the memory (a decompression bomb)."""

Decode = Literal["full", "draft"]
"""With `draft`, a JPEG at least four times the encoder's size is decoded at a half, a quarter or an eighth of its own
size, which is still at least twice the encoder's; an image of which only a box is used is decoded in full. Large JPEGs
take a third to a sixth of the time, and pixel values change by a few levels of 255 at most (3 in photographs, 9 under
heavy noise; see `tests/unit/encoders/test_images.py`).
"""


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes `size` x `size` pixels, and how their values are normalised afterwards.

    Attributes:
        name: `reference` or `clip`.
        size: side of the square, in pixels.
        resize: `stretch` to the square, or scale the shortest side and `crop` the centre.
        crop: share of the scaled shortest side that the crop keeps.
        interpolation: of the resizing.
        mean, std: per RGB channel, subtracted from and divided into values in [0, 1].
        decode: see `Decode`.
    """

    name: str
    size: int
    resize: Literal["stretch", "crop"]
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    decode: Decode = "full"
    crop: float = 1.0


def preprocess(
    kind: Literal["reference", "clip"],
    size: int,
    decode: Decode = "full",
    trained: Mapping[str, Any] = MappingProxyType({}),
) -> Preprocess:
    """The two kinds of preprocessing.

    `reference` is what Exp-CLIP does for both encoders: a bilinear stretch to a square and values in [0, 1], without
    mean and standard deviation. `clip` is how the model was trained to see images: for OpenAI's CLIP and most others
    bicubic on the shortest side, centre crop, CLIP's mean and standard deviation.

    Args:
        trained: mean, std, interpolation, resize_mode and crop, where the model's makers say so; OpenAI's by default.

    Raises:
        EncoderError: `trained` names another way to resize.
    """
    if kind == "reference":
        return Preprocess(
            name=kind,
            size=size,
            resize="stretch",
            interpolation="bilinear",
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            decode=decode,
        )
    resize, interpolation = trained.get("resize_mode") or "shortest", trained.get("interpolation") or "bicubic"
    ways: dict[str, Literal["stretch", "crop"]] = {"shortest": "crop", "squash": "stretch"}
    if resize not in ways or interpolation not in ("bilinear", "bicubic"):
        raise EncoderError(
            f"preprocess: clip: the model was trained with resize_mode {resize!r} and interpolation {interpolation!r}; "
            "expected shortest or squash, and bicubic or bilinear. Set preprocess: reference, or choose another model."
        )
    return Preprocess(
        name=kind,
        size=size,
        resize=ways[resize],
        interpolation=interpolation,
        mean=_per_channel(trained.get("mean"), CLIP_MEAN),
        std=_per_channel(trained.get("std"), CLIP_STD),
        decode=decode,
        crop=float(trained.get("crop", 1.0)),
    )


def _per_channel(value: object, otherwise: tuple[float, float, float]) -> tuple[float, float, float]:
    values = [value] * 3 if isinstance(value, int | float) else value
    if values is None:
        return otherwise
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise EncoderError(f"preprocess: clip: expected three numbers as the model's mean or std, found {value!r}.")
    red, green, blue = values
    return float(red), float(green), float(blue)


def to_square(image: Image.Image, how: Preprocess) -> np.ndarray:
    """Resize an RGB image; returns (3, size, size) uint8."""
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    size, resample = how.size, filters[how.interpolation]
    if how.resize == "stretch":
        image = image.resize((size, size), resample)
    else:
        short = min(image.size)
        scaled = round(size / how.crop)
        wide, high = (max(scaled, int(scaled * side / short)) for side in image.size)
        left, top = round((wide - size) / 2), round((high - size) / 2)
        if wide * high > MAX_PIXELS:
            # Thousands of times as long as wide. Only what the crop keeps is scaled; the whole would need gigabytes.
            across, down = image.width / wide, image.height / high
            box = (left * across, top * down, (left + size) * across, (top + size) * down)
            image = image.resize((size, size), resample, box)
        else:
            image = image.resize((wide, high), resample).crop((left, top, left + size, top + size))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def check_pixels(pixels: "torch.Tensor", how: Preprocess) -> None:
    """Make sure that pixels are (b, 3, size, size) uint8.

    Raises:
        ValueError: they have another shape or dtype.
    """
    import torch

    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, how.size, how.size):
        found = f"{tuple(pixels.shape)} {pixels.dtype}"
        raise ValueError(f"pixels: expected (b, 3, {how.size}, {how.size}) uint8, found {found}")


def to_float(pixels: "torch.Tensor", how: Preprocess) -> "torch.Tensor":
    """(b, 3, size, size) uint8 -> float32 of the same shape and device: (value / 255 - mean) / std.

    Raises:
        ValueError: the pixels have another shape or dtype.
    """
    import torch

    check_pixels(pixels, how)
    values = pixels.to(torch.float32) / 255
    if how.mean == (0.0, 0.0, 0.0) and how.std == (1.0, 1.0, 1.0):
        return values
    shape = (3, 1, 1)
    mean = torch.tensor(how.mean, device=values.device).view(shape)
    std = torch.tensor(how.std, device=values.device).view(shape)
    return (values - mean) / std
