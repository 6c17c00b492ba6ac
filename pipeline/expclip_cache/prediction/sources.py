"""What a `Predictor` is given -> the faces or frames to encode."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import ShortClip, is_video
from expclip_cache.encoders import Preprocess, as_viewed, read_image, to_square
from expclip_cache.faces import DetectedFace, FaceFinder, fill_gaps
from expclip_cache.prediction.clips import read_clip

if TYPE_CHECKING:
    import torch

Source: TypeAlias = "str | Path | Image.Image | np.ndarray | torch.Tensor"
"""A photo, video or folder of frames by its path, or an image in memory.

An array is (h, w), (h, w, 3) or (h, w, 4), a tensor (h, w), (3, h, w) or (4, h, w): RGB with or without alpha, as uint8
or as numbers from 0 to 1.
"""

NO_FACE_FOUND = "no face found. If the image is already cropped to the face, use --no-crop (crop=False)"


@dataclass(frozen=True)
class Pixels:
    """What is encoded of one source.

    Attributes:
        path: of the source; empty for an image in memory.
        squares: (k, 3, s, s) uint8, of each face of a photo or of each frame of a clip.
        faces: one for each answer; None for whole images.
        frames: squares behind each answer.
        reason: why there is nothing to encode; empty if there is something.
    """

    path: str
    squares: np.ndarray
    faces: tuple[DetectedFace | None, ...]
    frames: int = 1
    reason: str = ""


@dataclass(frozen=True)
class PixelReader:
    """Reads sources, finds the faces in them and crops to these.

    Attributes:
        how: a face becomes the square of pixels that the encoder takes.
        crop: to the largest face, or to each face of a photo if `all_faces`.
        frames: number of frames sampled from a clip.
        short_clip: rule for clips with no more frames than that, see `expclip_cache.datasets.sample_indices`.
    """

    how: Preprocess
    crop: bool
    all_faces: bool
    frames: int
    short_clip: ShortClip

    def read(self, source: Source) -> Pixels:
        """The pixels of a source; in any thread.

        Raises:
            DataError: it cannot be read, or no face is found in it; the message does not repeat the path.
        """
        if not isinstance(source, str | Path):
            return self.of_image(to_image(source))
        path = Path(source)
        if path.is_dir() or is_video(path.name):
            return self._of_clip(path)
        return self.of_image(read_image(path), str(path))

    def of_image(self, image: Image.Image, path: str = "") -> Pixels:
        """The pixels of an RGB image.

        Raises:
            DataError: no face is found in it.
        """
        if not self.crop:
            return self._pixels(path, [image], (None,))
        finder = FaceFinder()
        found = finder.find_all(image) if self.all_faces else filter(None, [finder.find(image)])
        if not (faces := tuple(found)):
            raise DataError(NO_FACE_FOUND)
        return self._pixels(path, [image.crop(face.box) for face in faces], faces)

    def _of_clip(self, path: Path) -> Pixels:
        if self.all_faces:
            raise DataError("is a clip, whose faces would have to be told apart over time; leave out --all-faces")
        images, first = read_clip(path, self.frames, self.short_clip), None
        if self.crop:
            finder = FaceFinder()
            found = [finder.find(image) for image in images]
            if not any(found):
                raise DataError(NO_FACE_FOUND)
            first, *_ = faces = fill_gaps(found)
            images = [image.crop(face.box) for image, face in zip(images, faces, strict=True)]
        return self._pixels(str(path), images, (first,), len(images))

    def _pixels(
        self, path: str, images: list[Image.Image], faces: tuple[DetectedFace | None, ...], frames: int = 1
    ) -> Pixels:
        return Pixels(path, np.stack([to_square(image, self.how) for image in images]), faces, frames)


def read_or_reason(read: Callable[[], Pixels], path: str, size: int) -> Pixels:
    """What `read` returns, or no squares and the reason why there are none."""
    try:
        return read()
    except DataError as error:
        return Pixels(path, np.empty((0, 3, size, size), dtype=np.uint8), (), reason=str(error))


def to_image(source: "Image.Image | np.ndarray | torch.Tensor") -> Image.Image:
    """An image in memory, RGB, as a viewer shows it.

    Args:
        source: see `Source`.

    Raises:
        DataError: it is of another shape or dtype.
    """
    if isinstance(source, Image.Image):
        return as_viewed(source)
    if not isinstance(source, np.ndarray):
        source = _channels_last(source)
    kind, shape = source.dtype, source.shape
    if not (source.ndim == 2 or (source.ndim == 3 and shape[2] in (3, 4))) or source.size == 0:
        raise DataError(
            f"expected an image: an array (h, w) or (h, w, 3), or a tensor (3, h, w), found an array {shape}. For "
            "several images, use many()"
        )
    if np.issubdtype(kind, np.floating):
        if not (np.isfinite(source).all() and source.min() >= 0 and source.max() <= 1):
            raise DataError(f"expected numbers from 0 to 1 or uint8, found {kind} in [{source.min()}, {source.max()}]")
        source = (source * 255).round().astype(np.uint8)
    if source.dtype != np.uint8:
        raise DataError(f"expected an image as uint8 or as numbers from 0 to 1, found {kind}")
    return as_viewed(Image.fromarray(np.ascontiguousarray(source)))


def _channels_last(source: object) -> np.ndarray:
    import torch

    if not isinstance(source, torch.Tensor):
        raise DataError(
            f"expected a path, a PIL image, a NumPy array or a torch tensor, found {type(source).__name__}. For "
            "several images, use many()"
        )
    tensor = source.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return (tensor.permute(1, 2, 0) if tensor.ndim == 3 else tensor).numpy()
