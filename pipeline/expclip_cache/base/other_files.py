"""Keep a folder free of files from earlier settings."""

from collections.abc import Collection
from pathlib import Path


def remove_other_files(folder: Path, kept: Collection[Path]) -> None:
    """Remove every file below a folder that is not among `kept`, then the folders that are empty.

    Args:
        folder: it may be missing.
        kept: paths that start with `folder`.
    """
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()
