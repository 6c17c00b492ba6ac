"""The arguments of `predict` -> the photos, videos and clips to classify."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from expclip_cache.base import DataError
from expclip_cache.datasets import read_tree


@dataclass(frozen=True)
class Input:
    """A photo, video or clip to classify.

    Attributes:
        path: of the file or folder.
        name: its path below the folder that was named, or the file's own name; posix.
    """

    path: Path
    name: str


def find_inputs(paths: Sequence[Path], clips: bool) -> tuple[list[Input], list[str]]:
    """Every photo, video and clip, in the given order and by name within a folder; and notes on what is passed over.

    Args:
        paths: files and folders. A file is used whatever its name; a folder is searched for photos and videos at any
            depth.
        clips: folders hold frames; each folder with images directly in it is one clip.

    Raises:
        DataError: a path does not exist, or a folder has no photo, video or clip.
    """
    inputs: list[Input] = []
    notes: list[str] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        if not path.is_dir():
            inputs.append(Input(path, path.name))
            continue
        tree = read_tree(path)
        passed_over = [] if clips else [f"{path}: {note}" for note in tree.notes(videos=True)]
        found = {str(PurePosixPath(name).parent) for name in tree.images} if clips else {*tree.images, *tree.videos}
        if not found:
            expected = "folder of frames" if clips else "photo or video"
            raise DataError("\n".join([f"{path}: expected at least one {expected} in it, found none.", *passed_over]))
        inputs += [Input(path / name, name) for name in sorted(found, key=os.fsencode)]
        notes += passed_over
    return inputs, notes
