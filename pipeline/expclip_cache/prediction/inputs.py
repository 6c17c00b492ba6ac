"""The arguments of `predict` -> the photos, videos and clips to classify."""

import os
from collections.abc import Sequence
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets import Tree, read_tree


def find_inputs(paths: Sequence[Path], clips: bool) -> tuple[list[Path], list[str]]:
    """Every photo, video and clip, in the given order and by name within a folder; and notes on what is passed over.

    Args:
        paths: files and folders. A file is used whatever its name; a folder is searched for photos and videos at any
            depth.
        clips: folders hold frames; each folder with images directly in it is one clip.

    Raises:
        DataError: a path does not exist, or a folder has no photo, video or clip.
    """
    inputs: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        if not path.is_dir():
            inputs.append(path)
            continue
        tree = read_tree(path)
        passed_over = [] if clips else [f"{path}: {note}" for note in tree.notes(videos=True)]
        found = _clip_folders(path, tree) if clips else _photos_and_videos(path, tree)
        if not found:
            expected = "folder of frames" if clips else "photo or video"
            raise DataError("\n".join([f"{path}: expected at least one {expected} in it, found none.", *passed_over]))
        inputs += found
        notes += passed_over
    return inputs, notes


def _photos_and_videos(folder: Path, tree: Tree) -> list[Path]:
    return sorted((folder / name for name in (*tree.images, *tree.videos)), key=os.fsencode)


def _clip_folders(folder: Path, tree: Tree) -> list[Path]:
    return sorted({(folder / name).parent for name in tree.images}, key=os.fsencode)
