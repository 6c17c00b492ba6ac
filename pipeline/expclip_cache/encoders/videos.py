"""A video -> its sampled frames."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import ShortClip, sample_indices
from expclip_cache.encoders.images import one_line_errors
from expclip_cache.encoders.preprocess import MAX_PIXELS

if TYPE_CHECKING:
    import cv2

CONTAINERS = {
    "AVI": rb"RIFF....AVI ",
    "MP4, MOV or 3GP": rb"....(ftyp|moov|mdat|free|skip|wide|pnot)",
    "Matroska or WebM": rb"\x1aE\xdf\xa3",
    "MPEG": rb"\x00\x00\x01[\xb3\xba]|G.{187}G",
    "Windows Media": rb"0&\xb2u\x8ef\xcf\x11",
    "Flash": rb"FLV\x01",
}
"""How the files that are decoded begin. FFmpeg knows others, some of which are lists of files to open."""

ROUNDING = 0.001
"""Seconds by which a time stamp may be too small."""

MAX_FRAMES = 100_000
"""Longest video that is decoded, in frames: an hour."""


def decode_video(file: BinaryIO, frames: int, short_clip: ShortClip, threads: int = 0) -> list[Image.Image]:
    """Decode a video from its first frame to its last and sample its frames.

    The number of frames decides which are sampled, and only decoding tells it for certain. The number that the file
    states is usually right, so the frames that it leads to are kept, and the video is decoded again only if others are
    needed.

    Args:
        file: open at its start; nothing but this file is read, whatever it refers to.
        frames: how many to sample.
        short_clip: rule for videos with no more frames than that, see `expclip_cache.datasets.sample_indices`.
        threads: of the decoder; 0 for as many as there are cores.

    Returns:
        The sampled frames, RGB, upright; one image several times where it is sampled several times.

    Raises:
        FileAccessError: there is not enough memory.
        DataError: it is not a video, no frame can be decoded, there are more than `MAX_FRAMES`, or they are larger
            than `MAX_PIXELS`. Both have the reason on one line; nothing else is raised.
    """
    with one_line_errors(file):
        _refuse_other_formats(file)
        stated, count, found = _decode(file, frames, short_clip, threads)
        if stated != count:
            file.seek(0)
            _, again, found = _decode(file, frames, short_clip, threads, count)
            if again != count:
                raise DataError(f"{count} frames were decoded the first time and {again} the second time")
        return [found[index] for index in sample_indices(count, frames, short_clip)]


def frames_every(file: BinaryIO, seconds: float) -> Iterator[tuple[float, Image.Image]]:
    """Decode a video from its first frame to its last, and take the first frame of every so many seconds.

    Frames come one by one, so that a long video fits into memory.

    Args:
        file: open at its start; nothing but this file is read, whatever it refers to.
        seconds: between two frames, more than 0. A video with fewer frames than that gives all of them.

    Yields:
        The time of a frame in seconds and the frame, RGB, upright. Times are the file's time stamps; where these do not
        increase, they follow from its frame rate.

    Raises:
        FileAccessError, DataError: as `decode_video`.
    """
    import cv2

    with one_line_errors(file):
        _refuse_other_formats(file)
        with _opened(file, threads=0) as video:
            step = 1 / max(video.get(cv2.CAP_PROP_FPS), 1.0)
            time, wanted = -step, 0.0
            for index in _grabbed(video):
                stamp = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                time = stamp if stamp > time else time + step
                # Stamps are rounded, often to a millisecond.
                if time + ROUNDING >= wanted:
                    yield time, _retrieved(video, index)
                    wanted = (math.floor((time + ROUNDING) / seconds) + 1) * seconds


def stated_seconds(file: BinaryIO) -> float:
    """How long a video is by what its file says, which may be wrong; 0 if it does not say.

    The file is left at its start.

    Raises:
        FileAccessError, DataError: as `decode_video`.
    """
    import cv2

    with one_line_errors(file):
        _refuse_other_formats(file)
        with _opened(file, threads=0) as video:
            rate, count = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
        file.seek(0)
    return count / rate if rate > 0 and count > 0 else 0.0


def _refuse_other_formats(file: BinaryIO) -> None:
    start = file.read(512)
    file.seek(0)
    if not any(re.match(pattern, start, re.DOTALL) for pattern in CONTAINERS.values()):
        raise DataError(f"not a video in a known format ({', '.join(CONTAINERS)})")


def _decode(
    file: BinaryIO, frames: int, short_clip: ShortClip, threads: int, count: int | None = None
) -> tuple[int, int, dict[int, Image.Image]]:
    """The number of frames that is expected, that of those there are, and the frames to sample if both are the same."""
    import cv2

    found: dict[int, Image.Image] = {}
    with _opened(file, threads) as video:
        stated = count if count is not None else int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(sample_indices(stated, frames, short_clip) if 0 < stated <= MAX_FRAMES else ())
        decoded = 0
        for index in _grabbed(video):
            if index in wanted:
                found[index] = _retrieved(video, index)
            decoded = index + 1
    return stated, decoded, found


@contextmanager
def _opened(file: BinaryIO, threads: int) -> Iterator["cv2.VideoCapture"]:
    import cv2

    # OpenCV and FFmpeg print errors about broken files to standard error; ours report the same.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV reads from any file object; its type stubs know another class.
    video = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])  # pyright: ignore
    try:
        width, height = (int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise DataError(
                f"frames of {width} x {height} pixels, more than the {MAX_PIXELS:,} that are decoded at most"
            )
        yield video
    finally:
        video.release()


def _grabbed(video: "cv2.VideoCapture") -> Iterator[int]:
    """The place of each frame, while it is the current one."""
    index = 0
    while video.grab():
        if index == MAX_FRAMES:
            raise DataError(f"more than {MAX_FRAMES:,} frames, the longest video that is decoded; cut it into clips")
        yield index
        index += 1
    if index == 0:
        raise DataError("no frame could be decoded: the video is damaged, or its codec is not supported")


def _retrieved(video: "cv2.VideoCapture", index: int) -> Image.Image:
    ok, pixels = video.retrieve()
    if not ok:
        raise DataError(f"frame {index} cannot be decoded")
    return Image.frombuffer("RGB", (pixels.shape[1], pixels.shape[0]), pixels, "raw", "BGR", 0, 1)
