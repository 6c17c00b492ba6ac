"""The file with the boxes of the faces that were found in a dataset.

JSON lines: a header, then one line per row, with a checksum of its own; a line that is torn or damaged counts as
missing. A row's key is the hash of its content, so boxes are found again after the dataset has changed: only what is
new is searched.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import xxhash

from expclip_cache.base import CacheError, DataError, make_folder, write_atomically
from expclip_cache.datasets import Box, Manifest, ManifestRow, inconsistency

FORMAT = "expclip-cache crops 1"

Boxes = tuple[Box, ...]
"""Of the face in each of a row's files, in order."""


def row_key(row: ManifestRow, manifest: Manifest) -> str:
    """What decides the boxes of a row: its content, which frames are sampled from it, and how images are read."""
    distinct = list(dict.fromkeys(row.files))
    places = "" if len(row.files) == 1 else ",".join(str(distinct.index(name)) for name in row.files)
    return " ".join(filter(None, [str(row.digest), places, manifest.short_clip, manifest.appearance]))


def write_crops(file: Path, manifest: Manifest, detector: Mapping[str, object], boxes: Mapping[str, Boxes]) -> None:
    """Write the boxes of every row, atomically.

    Args:
        detector: everything about the search that decides a box.
        boxes: by key of the row.

    Raises:
        CacheError: the file cannot be written.
    """
    found = {key: boxes[key] for key in _keys(manifest)}
    _write(file, {"detector": detector, "format": FORMAT, "manifest": manifest.sha256}, found)


def with_crops(manifest: Manifest, file: Path, detector: Mapping[str, object]) -> Manifest:
    """The manifest with the boxes of a file, which is another dataset for every later stage.

    Raises:
        DataError: the file is missing, damaged, or of another manifest or detector.
    """
    header, boxes = _read(file)
    if header is None or (header.get("manifest") == manifest.sha256 and not boxes.keys() >= {*_keys(manifest)}):
        found = "damaged" if file.exists() else "missing"
        raise DataError(f"{file}: the boxes of the faces are {found}. Run `dvc repro crops`.")
    if (header.get("manifest"), header.get("detector")) != (manifest.sha256, dict(detector)):
        raise DataError(f"{file}: holds the faces of other images, or of another search. Run `dvc repro crops`.")
    return manifest_with_boxes(manifest, boxes)


def manifest_with_boxes(manifest: Manifest, boxes: Mapping[str, Boxes]) -> Manifest:
    """The manifest, with the boxes of each row's key.

    Raises:
        DataError: a row has none, or impossible ones.
    """
    try:
        rows = tuple(replace(row, boxes=boxes[key]) for row, key in zip(manifest.rows, _keys(manifest), strict=True))
    except KeyError as error:
        raise DataError(f"{manifest.name}: there are no boxes for the image with the hash {error}.") from None
    cropped = replace(manifest, rows=rows)
    if problem := inconsistency(cropped):
        raise DataError(f"{manifest.name}: {problem}. Delete the file with its boxes and make it again.")
    return cropped


def known_boxes(file: Path, detector: Mapping[str, object]) -> dict[str, Boxes]:
    """The boxes in a file, whole or cut off, that were found by the same search; none if there is no such file."""
    header, boxes = _read(file)
    return boxes if header is not None and header.get("detector") == dict(detector) else {}


def begin_search(file: Path, detector: Mapping[str, object], known: Mapping[str, Boxes]) -> None:
    """Write the file of a search that has not ended, with what is known already.

    Raises:
        CacheError: it cannot be written.
    """
    _write(file, {"detector": detector, "format": FORMAT}, known)


def add_boxes(file: Path, found: Iterable[tuple[str, Boxes]]) -> None:
    """Add the boxes of some rows to the file of a search; they are on disk when this returns.

    Raises:
        CacheError: it cannot be written.
    """
    try:
        with file.open("ab") as out:
            out.writelines(_entry(key, boxes) for key, boxes in found)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise CacheError(
            f"{file}: cannot be written ({error.strerror}). Free some space, then run the same command again: what "
            "was found before is kept."
        ) from None


def _write(file: Path, header: Mapping[str, object], boxes: Mapping[str, Boxes]) -> None:
    make_folder(file.parent)
    write_atomically(file, _line(header), *(_entry(*item) for item in boxes.items()))


def _read(file: Path) -> tuple[dict[str, object] | None, dict[str, Boxes]]:
    """The header, None without a valid one, and the boxes of the lines that are whole."""
    try:
        first, *lines = file.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None, {}
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None
    header = _parsed(first)
    if header.get("format") != FORMAT:
        return None, {}
    boxes: dict[str, Boxes] = {}
    for line in lines:
        entry = _parsed(line)
        with suppress(KeyError, TypeError, ValueError):
            found = tuple((left, top, right, bottom) for left, top, right, bottom in entry["boxes"])
            if _entry(entry["key"], found) == line + b"\n":
                boxes[entry["key"]] = found
    return header, boxes


def _parsed(line: bytes) -> dict[str, Any]:
    """A JSON object; empty if the line is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _keys(manifest: Manifest) -> Iterator[str]:
    return (row_key(row, manifest) for row in manifest.rows)


def _entry(key: str, boxes: Boxes) -> bytes:
    """The line of a row."""
    entry = {"boxes": boxes, "key": key}
    return _line({**entry, "xxh3_64": xxhash.xxh3_64_hexdigest(_line(entry))})


def _line(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
