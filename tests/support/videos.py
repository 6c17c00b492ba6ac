"""Small videos, written by OpenCV."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

CODECS = {".avi": "XVID", ".mp4": "mp4v", ".mkv": "FFV1", ".webm": "VP80", ".mov": "MJPG"}


def write_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write (high, wide, 3) uint8 RGB frames with a codec that suits the file's suffix."""
    high, wide = frames[0].shape[:2]
    fourcc = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, 25, (wide, high))
    assert video.isOpened()
    for frame in frames:
        video.write(np.ascontiguousarray(frame[:, :, ::-1]))
    video.release()


def moving_frames(count: int, seed: int = 0, high: int = 48, wide: int = 64) -> list[np.ndarray]:
    """Frames that all differ: a light patch that moves over a smooth background."""
    random = np.random.default_rng(seed)
    background = cv2.GaussianBlur(random.integers(0, 256, (high, wide, 3), dtype=np.uint8), (0, 0), 4)
    frames = []
    for number in range(count):
        frame = background.copy()
        left = 3 * number % (wide - 12)
        frame[8:24, left : left + 12] = 40 + 5 * number % 200
        frames.append(frame)
    return frames


def read_with_opencv(path: Path) -> list[np.ndarray]:
    """Every frame of a video, RGB, by OpenCV's plain loop."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (read := video.read())[0]:
        frames.append(np.ascontiguousarray(read[1][:, :, ::-1]))
    return frames
