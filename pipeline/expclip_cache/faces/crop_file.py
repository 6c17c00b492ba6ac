"""The file with the boxes of the faces that were found in a dataset.

JSON lines: a header, then one line per row. A row's key is the hash of its content, so boxes are found again after the
dataset has changed: only what is new is searched.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from expclip_cache.base import CacheError, DataError, make_folder, write_atomically
from expclip_cache.datasets import Box, Manifest, ManifestRow, ShortClip, inconsistency

FORMAT = "expclip-cache crops 1"

Boxes = tuple[Box, ...]
"""Of the face in each of a row's files, in order."""


def row_key(row: ManifestRow, short_clip: ShortClip | None) -> str:
    """What decides the boxes of a row: its content, and which frames are sampled from it."""
    distinct = list(dict.fromkeys(row.files))
    places = "" if len(row.files) == 1 else " " + ",".join(str(distinct.index(name)) for name in row.files)
    return f"{row.digest}{places}{f' {short_clip}' if short_clip else ''}"


def write_crops(file: Path, manifest: Manifest, detector: Mapping[str, object], boxes: Mapping[str, Boxes]) -> None:
    """Write the boxes of every row, atomically.

    Args:
        detector: everything about the search that decides a box.
        boxes: by key of the row.
    """
    lines = [_line(_entry(key, boxes[key])) for key in dict.fromkeys(_keys(manifest))]
    header = {"detector": detector, "format": FORMAT, "manifest": manifest.sha256, "sha256": _sha256(lines)}
    make_folder(file.parent)
    write_atomically(file, _line(header), *lines)


def with_crops(manifest: Manifest, file: Path, detector: Mapping[str, object]) -> Manifest:
    """The manifest with the boxes of a file, which is another dataset for every later stage.

    Raises:
        DataError: the file is missing, damaged, or of another manifest or detector.
    """
    header, boxes = _read(file)
    if header is None or header.get("sha256") != _sha256(_line(_entry(*item)) for item in boxes.items()):
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
    header = {"detector": detector, "format": FORMAT}
    make_folder(file.parent)
    write_atomically(file, _line(header), *(_line(_entry(*item)) for item in known.items()))


def add_boxes(file: Path, found: Iterable[tuple[str, Boxes]]) -> None:
    """Add the boxes of some rows to the file of a search; they are on disk when this returns.

    Raises:
        CacheError: it cannot be written.
    """
    try:
        with file.open("ab") as out:
            out.writelines(_line(_entry(key, boxes)) for key, boxes in found)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise CacheError(
            f"{file}: cannot be written ({error.strerror}). Free some space, then run the same command again: what "
            "was found before is kept."
        ) from None


def _read(file: Path) -> tuple[dict[str, object] | None, dict[str, Boxes]]:
    """The header and the boxes of a file, up to a line that is torn; None if there is no such file."""
    try:
        lines = file.read_bytes().split(b"\n")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return None, {}
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None
    header: dict[str, object] | None = None
    boxes: dict[str, Boxes] = {}
    # A line that is torn ends the file.
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        for line in lines:
            entry = json.loads(line)
            if header is not None:
                faces = tuple((left, top, right, bottom) for left, top, right, bottom in entry["boxes"])
                boxes[str(entry["key"])] = faces
            elif entry["format"] == FORMAT:
                header = dict(entry)
            else:
                break
    return header, boxes


def _keys(manifest: Manifest) -> Iterator[str]:
    return (row_key(row, manifest.short_clip) for row in manifest.rows)


def _entry(key: str, boxes: Boxes) -> dict[str, object]:
    return {"boxes": boxes, "key": key}


def _line(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def _sha256(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()
