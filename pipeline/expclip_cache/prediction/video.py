"""Video files and folders of frames -> the sampled frames."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import ShortClip, frame_names, sample_indices
from expclip_cache.encoders import read_image

if TYPE_CHECKING:
    import cv2

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"})
"""Suffixes of video files in lower case; case does not matter."""


def is_video(path: Path) -> bool:
    """Whether a file's name has a video suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


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
    return _read_video(path, frames, short_clip)


def _read_video(path: Path, frames: int, short_clip: ShortClip) -> list[Image.Image]:
    if not path.is_file():
        raise DataError("is not a file" if path.exists() else "does not exist")
    # The frame count in a container's header is often an estimate, so the frames are counted.
    count = sum(1 for _ in _grab_frames(path))
    if count == 0:
        raise DataError("no frame could be decoded: not a video, damaged, or an unsupported codec")
    wanted = sample_indices(count, frames, short_clip)
    found: dict[int, Image.Image] = {}
    for index, video in enumerate(_grab_frames(path)):
        if index in wanted:
            ok, pixels = video.retrieve()
            if not ok:
                raise DataError(f"frame {index} cannot be decoded")
            found[index] = Image.fromarray(pixels[:, :, ::-1])
        if index == wanted[-1]:
            break
    return [found[index] for index in wanted]


def _grab_frames(path: Path) -> Iterator["cv2.VideoCapture"]:
    """The open video, once per frame, positioned at that frame."""
    import cv2

    # OpenCV and FFmpeg print errors about broken files to standard error; ours report the same.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        while video.isOpened() and video.grab():
            yield video
    finally:
        video.release()
