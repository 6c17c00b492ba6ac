"""Videos and folders of frames -> the sampled frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import ShortClip, frame_names, sample_indices
from expclip_cache.encoders import decode_video, read_image


def read_clip(path: Path, frames: int, short_clip: ShortClip) -> list[Image.Image]:
    """The sampled frames of a video file or of a folder of frames, RGB.

    Args:
        path: file or folder.
        frames: number of frames to sample.
        short_clip: rule for clips with no more frames than that, see `expclip_cache.datasets.sample_indices`.

    Raises:
        DataError: there are no frames, or one cannot be decoded; the message does not repeat the path.
    """
    if path.is_dir():
        names = frame_names(path)
        if not names:
            raise DataError("expected images directly in this folder, found none")
        return [read_image(path / names[index]) for index in sample_indices(len(names), frames, short_clip)]
    with open_video(path) as file:
        return decode_video(file, frames, short_clip)


@contextmanager
def open_video(path: Path) -> Iterator[BinaryIO]:
    """A video file, open at its start.

    Raises:
        DataError: it is no file or cannot be read; the message does not repeat the path.
    """
    if not path.is_file():
        raise DataError("is not a file; expected a video file" if path.exists() else "does not exist")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from None
