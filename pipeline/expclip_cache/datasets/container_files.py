"""The tar shards or Parquet files of a dataset."""

import os
from fnmatch import fnmatchcase
from pathlib import Path

from expclip_cache.base import DataError


def container_files(root: Path, pattern: str, suffix: str) -> list[str]:
    """Their paths relative to the root, sorted by their bytes.

    Args:
        pattern: of a shell, such as `train-*.tar`; all with the suffix if it is empty.
        suffix: of the files, such as `.tar`.

    Raises:
        DataError: there is none.
    """
    found = sorted(
        (path.relative_to(root).as_posix() for path in root.rglob(f"*{suffix}") if path.is_file()), key=os.fsencode
    )
    chosen = [path for path in found if not any(part.startswith(".") for part in path.split("/"))]
    chosen = [path for path in chosen if not pattern or fnmatchcase(path, pattern)]
    if not chosen:
        others = f"{len(found)} others, such as {found[0]}" if found else "none"
        raise DataError(
            f"{root}: expected files {pattern or f'*{suffix}'}, found {others}. Check the source and samples.files."
        )
    return chosen
