"""Walk a folder of this machine."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from expclip_cache.base import DataError
from expclip_cache.datasets.file_names import SYSTEM_FOLDERS, by_number, is_image, is_video, suffix_of

if TYPE_CHECKING:
    from expclip_cache.datasets.tree import Tree

DEEPEST = 100
"""Levels of folders that are walked."""


def walk(folder: Path, tree: "Tree") -> None:
    """Add everything below a folder to a tree, in no order.

    Raises:
        DataError: see `visited`.
    """
    for prefix, folders, entries in visited(folder, tree.system_folders):
        images: list[str] = []
        videos: list[str] = []
        for entry in entries:
            if is_image(entry.name) and _is_readable(entry):
                images.append(entry.name)
            elif is_video(entry.name) and _is_readable(entry):
                videos.append(entry.name)
            else:
                tree.ignored[suffix_of(entry.name)] += 1
        tree.images.extend(_joined(prefix, images))
        tree.videos.extend(_joined(prefix, videos))
        if prefix and not images and not videos and not folders:
            tree.leaves_without_images.append(prefix)


def files_with_suffix(folder: Path, suffix: str) -> Iterator[str]:
    """Paths of the files and links below a folder that end so, relative to it, in no order; those that `walk` visits.

    Raises:
        DataError: see `visited`.
    """
    for prefix, _, entries in visited(folder, Counter()):
        yield from _joined(prefix, (e.name for e in entries if e.name.endswith(suffix) and _is_readable(e)))


def visited(
    folder: Path, system_folders: Counter[str], prefix: str = "", above: tuple[tuple[int, int], ...] = ()
) -> Iterator[tuple[str, list[str], list[os.DirEntry[str]]]]:
    """A folder and those below it: path relative to the first, names of the folders in it, and its other entries.

    Args:
        system_folders: counts those that are passed over.
        prefix: path of the folder.
        above: device and number of each folder above it.

    Raises:
        DataError: a folder is missing or cannot be listed, is too deep, or is a link to a folder above it.
    """
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
    folders: list[str] = []
    others: list[os.DirEntry[str]] = []
    for entry in entries:
        if not _is_folder(entry):
            others.append(entry)
        elif entry.name.lower() in SYSTEM_FOLDERS:
            system_folders[entry.name] += 1
        else:
            folders.append(entry.name)
    yield prefix, folders, others
    for name, path in zip(folders, _joined(prefix, folders), strict=True):
        yield from visited(folder / name, system_folders, path, (*above, here))


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
