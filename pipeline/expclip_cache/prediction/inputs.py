"""What `predict` is given -> the photos and clips to look at."""

import os
from collections.abc import Sequence
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets import frame_names, read_tree
from expclip_cache.prediction.video import is_video


def find_inputs(given: Sequence[Path], clips: bool) -> list[Path]:
    """Every photo, video and clip, in the order given and by name within a folder.

    Args:
        given: files and folders. A file is taken whatever its name; in a folder, photos and videos at any depth count.
        clips: folders hold frames: each folder with pictures directly in it is one clip.

    Raises:
        DataError: a path does not exist, or a folder holds nothing to look at.
    """
    inputs: list[Path] = []
    for path in given:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        if not path.is_dir():
            inputs.append(path)
            continue
        found = _clips(path) if clips else _pictures(path)
        if not found:
            what = "folder of frames" if clips else "photo or video"
            raise DataError(f"{path}: expected at least one {what} in this folder, found none.")
        inputs += found
    return inputs


def _pictures(folder: Path) -> list[Path]:
    photos = [folder / name for name in read_tree(folder).images]
    videos = [path for path in folder.rglob("*") if is_video(path) and path.is_file() and not path.name.startswith(".")]
    return sorted(photos + videos, key=os.fsencode)


def _clips(folder: Path) -> list[Path]:
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.name.startswith("."))]
    return sorted((path for path in folders if frame_names(path)), key=os.fsencode)
