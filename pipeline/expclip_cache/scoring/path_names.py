"""Short display names for files and folders."""

from collections.abc import Sequence
from pathlib import Path


def short_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path without its suffix, or the whole path if several paths share that name.

    >>> short_names(["heads/a.safetensors", "heads/b.safetensors", "other/b.safetensors"])
    ['a', 'heads/b.safetensors', 'other/b.safetensors']
    """
    stems = [Path(path).stem for path in paths]
    return [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)]
