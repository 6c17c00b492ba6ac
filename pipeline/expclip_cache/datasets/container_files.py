"""The tar shards or Parquet files of a dataset."""

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Address, Root
from expclip_cache.datasets.file_names import SYSTEM_FOLDERS
from expclip_cache.datasets.folder_walk import files_with_suffix
from expclip_cache.datasets.listing import examples
from expclip_cache.datasets.tree import files_at

COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")

SPLIT = re.compile(r"(?<![a-z])(train|test|validation|valid|val|dev|eval)(?:ing)?(?![a-z])")
"""How the name of a file or folder says which split of a dataset it belongs to."""


def container_files(root: Root, pattern: str, suffix: str) -> list[str]:
    """Their paths relative to the root, sorted by their bytes.

    Folders are walked and passed over as `read_tree` does. A broken link is listed too, so that opening it fails.

    Args:
        pattern: of a shell, such as `train-*.tar`; all with the suffix if it is empty.
        suffix: of the files, such as `.tar`.

    Raises:
        DataError: there is none, or the root or a folder below it cannot be listed (see `read_tree`).
    """
    if isinstance(root, Path) and root.is_file():
        raise DataError(
            f"{root}: expected a folder with files {pattern or f'*{suffix}'}, found a file. Give its folder, and "
            f"{root.name} as samples.files."
        )
    found = sorted(_paths(root, suffix), key=os.fsencode)
    chosen = [path for path in found if not pattern or fnmatchcase(path, pattern)]
    if not chosen:
        others = f"{len(found)} others, such as {found[0]}" if found else "none"
        compressed = [path.rpartition("/")[2] for each in COMPRESSED for path in _paths(root, each)]
        advice = "Check the source and samples.files."
        if suffix == ".tar" and compressed:
            advice = f"Compressed tars cannot be read from the middle: unpack {examples(compressed)} to .tar first."
        raise DataError(f"{root}: expected files {pattern or f'*{suffix}'}, found {others}. {advice}")
    return chosen


def _paths(root: Root, suffix: str) -> list[str]:
    """Paths of all files with a suffix, relative to the root."""
    if isinstance(root, Address):
        return [path for path in files_at(root) if path.endswith(suffix) and not _is_passed_over(path)]
    return list(files_with_suffix(root, suffix))


def _is_passed_over(path: str) -> bool:
    *folders, name = path.split("/")
    return name.startswith(".") or any(each.startswith(".") or each.lower() in SYSTEM_FOLDERS for each in folders)


def split_notes(places: Sequence[str]) -> list[str]:
    """A note if the names of the files belong to several splits, which one dataset rarely wants.

    >>> split_notes(["data/test-00000-of-00001.parquet", "data/train-00000-of-00002.parquet", "data/other.parquet"])
    ['files of several splits are read: test, train. samples.files chooses, such as *test*']
    >>> split_notes(["attest/latest-00.tar", "attest/training-01.tar"])
    []
    """
    found = sorted({split[1] for place in places for split in SPLIT.finditer(place.lower())})
    if len(found) < 2:
        return []
    return [f"files of several splits are read: {', '.join(found)}. samples.files chooses, such as *{found[0]}*"]
