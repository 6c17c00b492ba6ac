"""Layout clip-list: a text file lists each clip's folder and class, as the video datasets are published."""

from collections import Counter
from collections.abc import Set
from pathlib import Path, PurePosixPath

from expclip_cache.base import DataError
from expclip_cache.datasets.clips import clip_at, clip_rows
from expclip_cache.datasets.definition import ClipLists, Definition
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import Listing, examples
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.table_file import read_lines


def read_clip_list(root: Path, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per line of the list.

    Raises:
        DataError: the list is missing, empty or has an invalid line, a class is unknown, or no listed clip has frames.
    """
    lists = definition.clip_list
    assert lists is not None  # Definition checks it for this layout
    file = _list_file(root, lists, dataset.fold)
    entries = [
        _parse(line, f"{file}, line {number}", lists)
        for number, line in enumerate(read_lines(file), start=1)
        if line.strip()
    ]
    if not entries:
        raise DataError(f"{file}: expected one clip per line, found an empty list.")
    words = [word for *_, word in entries]
    _refuse_numbers_from_one({*words}, definition, file)
    labels, classes, notes = labels_of(words, definition, dataset.labelled, str(file), "listed clips")
    paths = [path for path, *_ in entries]
    repeated = [path for path, count in Counter(paths).items() if count > 1]
    if repeated:
        notes.append(
            f"{len(repeated)} clips are listed more than once and have a row per listing: {examples(repeated)}"
        )
    clips = [
        clip_at(root, path, label, listed)
        for (path, listed, _), label in zip(entries, labels, strict=True)
        if label is not None
    ]
    rows, clip_notes = clip_rows(root, clips, dataset)
    return Listing(rows, classes, (*notes, *clip_notes))


def _refuse_numbers_from_one(words: Set[str], definition: Definition, file: Path) -> None:
    """Raise if the classes look as if they were numbered from 1 where the definition numbers them from 0.

    Without the last class all numbers would be known, and every clip would have the class after its own.
    """
    numbers = {word for word in definition.native if word.isdecimal()}
    if "0" in numbers and "0" not in words and len(words) > 1 and all(word.isdecimal() for word in words):
        raise DataError(
            f"{file}: no clip has the class 0 ({definition.native['0']}), so the classes look as if they were numbered "
            "from 1, where this list numbers them from 0. Subtract 1, or write the names of the classes."
        )


def _list_file(root: Path, lists: ClipLists, fold: int | None) -> Path:
    files = [root / name.replace("{fold}", str(fold)) for name in lists.files]
    for file in files:
        if file.is_file():
            return file
    raise DataError(
        f"{root}: expected the clip list {' or '.join(file.name for file in files)} in this folder, found "
        f"{'none' if root.is_dir() else 'no such folder'}. Put the list there, beside the clips."
    )


def _parse(line: str, where: str, lists: ClipLists) -> tuple[str, int | None, str]:
    """(folder relative to the root, listed frame count, word for the class) of one line."""
    fields = line.strip().rsplit(maxsplit=lists.columns - 1)
    expected = "folder frame_count class" if lists.columns == 3 else "folder class"
    if len(fields) != lists.columns or (lists.columns == 3 and not fields[1].isdecimal()):
        raise DataError(f"{where}: expected `{expected}`, found {line.strip()!r}.")
    parts = [part for part in PurePosixPath(fields[0]).parts if part != "/"]
    path = "/".join(parts[-lists.folder_parts :])
    return path, int(fields[1]) if lists.columns == 3 else None, fields[-1]
