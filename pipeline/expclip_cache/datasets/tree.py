"""Find the images below a folder, in an order that does not depend on the file system."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from expclip_cache.base import DataError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"}
    | {".heic", ".heif", ".hif"}
)
"""Image suffixes in lower case; upper case is accepted too. Animated formats are deliberately not included."""

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".flv"})
"""Suffixes of videos, likewise."""

DEEPEST = 100
"""Levels of folders that are walked."""

SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "lost+found", "system volume information"}
)
"""Folders that a file server or an operating system leaves, in lower case. Their images are thumbnails and waste."""


@dataclass
class Tree:
    """Everything below a root; paths are posix, relative to the root.

    Attributes:
        images: paths of images, sorted by their bytes. Links to files are followed. A broken link is listed too, so
            that decoding reports it.
        videos: paths of videos, likewise.
        leaves_without_images: folders with neither images, videos nor subfolders, sorted by their bytes.
        ignored: number of visible files that are neither, by suffix.
        system_folders: names of the folders of `SYSTEM_FOLDERS` that were passed over, and how many.
    """

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    leaves_without_images: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    system_folders: Counter[str] = field(default_factory=Counter)

    def notes(self, videos: bool = False) -> list[str]:
        """Notes on the files and folders that were ignored, if any.

        Args:
            videos: whether videos are used.
        """
        notes = []
        if self.system_folders:
            names = ", ".join(f"{count} {name}" for name, count in sorted(self.system_folders.items()))
            notes.append(f"folders ignored because a file server or an operating system made them: {names}")
        ignored = self.ignored if videos else self.ignored + Counter(map(_suffix, self.videos))
        if ignored:
            kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(ignored.items()))
            notes.append(f"files ignored because they are not images{' or videos' * videos}: {kinds}")
        return notes


def read_tree(root: Path) -> Tree:
    """Walk a folder.

    Hidden files and folders (with a leading dot) and `SYSTEM_FOLDERS` are skipped; links to folders are followed.

    Raises:
        DataError: `root` or a folder below it is missing or cannot be listed, or a link points to a folder above it.
    """
    tree = Tree()
    _walk(root, "", (), tree)
    tree.images.sort(key=os.fsencode)
    tree.videos.sort(key=os.fsencode)
    tree.leaves_without_images.sort(key=os.fsencode)
    return tree


def frame_names(folder: Path) -> list[str]:
    """Names of the images directly in a folder, in the order of `by_number`; empty if the folder does not exist.

    Raises:
        DataError: the folder cannot be listed for another reason.
    """
    try:
        names = [e.name for e in _entries(folder) if is_image(e.name) and _is_readable(e) and not _is_folder(e)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot list the clip's folder ({error.strerror}). Check its permissions.") from None
    return sorted(names, key=by_number)


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
    return _suffix(name) in IMAGE_SUFFIXES


def is_video(name: str) -> bool:
    """Whether a file's name has a video suffix.

    >>> is_video("a.MP4"), is_video("a.gif"), is_video("mp4")
    (True, False, False)
    """
    return _suffix(name) in VIDEO_SUFFIXES


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...], tree: Tree) -> None:
    try:
        status = folder.stat()
        entries = list(_entries(folder))
    except OSError as error:
        raise DataError(
            f"{folder}: expected a folder of images, but it cannot be listed ({error.strerror}). "
            "Check the path and its permissions."
        ) from None
    if len(above) > DEEPEST:
        raise DataError(
            f"{folder}: is {DEEPEST} folders below the dataset's, deeper than any dataset. Check the path, or move the "
            "images up."
        )
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(
            f"{folder}: is a link to a folder above it, which would make the walk endless. Remove the link."
        )
    images: list[str] = []
    videos: list[str] = []
    folders: list[str] = []
    for entry in entries:
        if _is_folder(entry):
            if entry.name.lower() in SYSTEM_FOLDERS:
                tree.system_folders[entry.name] += 1
            else:
                folders.append(entry.name)
        elif is_image(entry.name) and _is_readable(entry):
            images.append(entry.name)
        elif is_video(entry.name) and _is_readable(entry):
            videos.append(entry.name)
        else:
            tree.ignored[_suffix(entry.name)] += 1
    tree.images.extend(_joined(prefix, images))
    tree.videos.extend(_joined(prefix, videos))
    if prefix and not images and not videos and not folders:
        tree.leaves_without_images.append(prefix)
    for name, path in zip(folders, _joined(prefix, folders), strict=True):
        _walk(folder / name, path, (*above, here), tree)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_readable(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file or a link; opening a pipe or socket would block."""
    return entry.is_symlink() or entry.is_file()


def _joined(prefix: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{prefix}/{name}" if prefix else name for name in names)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
