"""What the names of files say: which are images and videos, and the order of frames."""

import os
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"}
    | {".heic", ".heif", ".hif"}
)
"""Image suffixes in lower case; upper case is accepted too. Animated formats are deliberately not included."""

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".flv"})
"""Suffixes of videos, likewise."""

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "lost+found", "system volume information"}
)
"""Folders that a file server or an operating system leaves, in lower case. Their images are thumbnails and waste."""


def by_number(name: str) -> tuple[list[tuple[bytes, int]], bytes]:
    """Sort key of a frame: by the bytes of its name, but numbers count as numbers.

    Names whose numbers are padded with zeros keep the order of their bytes.

    >>> sorted(["10.jpg", "9.jpg", "1.jpg"], key=by_number)
    ['1.jpg', '9.jpg', '10.jpg']
    """
    raw = os.fsencode(name)
    # The zero stands for the digits that follow: they sort after "-" and before "a".
    return [(text + b"0" * bool(digits), int(digits or 0)) for text, digits in re.findall(rb"(\D*)(\d*)", raw)], raw


def last_of_each_folder(paths: Iterable[str], count: int) -> dict[str, list[str]]:
    """Folder -> its last `count` images, in the order of `by_number`.

    >>> last_of_each_folder(["a/9.png", "a/10.png", "b/1.png"], 1)
    {'a': ['a/10.png'], 'b': ['b/1.png']}
    """
    images: dict[str, list[str]] = {}
    for path in paths:
        images.setdefault(path.rpartition("/")[0], []).append(path)
    return {folder: sorted(names, key=by_number)[-count:] for folder, names in images.items()}


def is_image(name: str) -> bool:
    """Whether a file's name has an image suffix.

    >>> is_image("a.JPG"), is_image("a.gif"), is_image("jpg")
    (True, False, False)
    """
    return suffix_of(name) in IMAGE_SUFFIXES


def is_video(name: str) -> bool:
    """Whether a file's name has a video suffix.

    >>> is_video("a.MP4"), is_video("a.gif"), is_video("mp4")
    (True, False, False)
    """
    return suffix_of(name) in VIDEO_SUFFIXES


def suffix_of(name: str) -> str:
    """The suffix of a file's name in lower case, with its dot; empty without one.

    >>> suffix_of("a/b.JPG")
    '.jpg'
    """
    return PurePosixPath(name).suffix.lower()
