"""The arguments of `predict` -> the photos, videos and clips to classify."""

import os
from collections.abc import Sequence
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets import frame_names, read_tree


def find_inputs(paths: Sequence[Path], clips: bool) -> list[Path]:
    """Every photo, video and clip, in the given order and by name within a folder.

    Args:
        paths: files and folders. A file is used whatever its name; a folder is searched for photos and videos at any
            depth.
        clips: folders hold frames; each folder with images directly in it is one clip.

    Raises:
        DataError: a path does not exist, or a folder has no photo, video or clip.
    """
    inputs: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        if not path.is_dir():
            inputs.append(path)
            continue
        found = _clip_folders(path) if clips else _photos_and_videos(path)
        if not found:
            expected = "folder of frames" if clips else "photo or video"
            raise DataError(f"{path}: expected at least one {expected} in this folder, found none.")
        inputs += found
    return inputs


def _photos_and_videos(folder: Path) -> list[Path]:
    tree = read_tree(folder)
    return sorted((folder / name for name in (*tree.images, *tree.videos)), key=os.fsencode)


def _clip_folders(folder: Path) -> list[Path]:
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.name.startswith("."))]
    return sorted((path for path in folders if frame_names(path)), key=os.fsencode)
