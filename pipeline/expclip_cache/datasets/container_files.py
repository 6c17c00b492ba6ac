"""The tar shards or Parquet files of a dataset."""

import os
from fnmatch import fnmatchcase

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Address, Root
from expclip_cache.datasets.tree import files_at


def container_files(root: Root, pattern: str, suffix: str) -> list[str]:
    """Their paths relative to the root, sorted by their bytes.

    Args:
        pattern: of a shell, such as `train-*.tar`; all with the suffix if it is empty.
        suffix: of the files, such as `.tar`.

    Raises:
        DataError: there is none.
    """
    if isinstance(root, Address):
        paths = [path for path in files_at(root) if path.endswith(suffix)]
    else:
        paths = [path.relative_to(root).as_posix() for path in root.rglob(f"*{suffix}") if path.is_file()]
    found = sorted(paths, key=os.fsencode)
    chosen = [path for path in found if not any(part.startswith(".") for part in path.split("/"))]
    chosen = [path for path in chosen if not pattern or fnmatchcase(path, pattern)]
    if not chosen:
        others = f"{len(found)} others, such as {found[0]}" if found else "none"
        raise DataError(
            f"{root}: expected files {pattern or f'*{suffix}'}, found {others}. Check the source and samples.files."
        )
    return chosen
