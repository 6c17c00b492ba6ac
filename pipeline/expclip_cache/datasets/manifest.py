"""The manifest of a dataset: the ordered, hashed list of rows that every later stage refers to.

The file is JSON lines: a header, then one row per line. Paths are relative to the dataset's root, so a manifest is the
same on every machine and can be used on machines without the raw data.
"""

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from expclip_cache.base import DataError, atomic_file, make_folder
from expclip_cache.datasets.boxes import NO_FACE, Box
from expclip_cache.datasets.listing import UNLABELLED
from expclip_cache.datasets.sampling import ShortClip

FORMAT = "expclip-cache manifest 1"

ROWS_AT_ONCE = 4096

HEADER_BYTES = 1 << 20
"""How many bytes of a manifest file to read to be sure of having its header line."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One image or clip.

    Attributes:
        path: of the image, of the video, or of the clip's folder; posix, relative to the dataset's root. Where one
            image has several rows, one for each face, a name of its own.
        label: index into the manifest's classes, or -1 without a label.
        files: the files to decode, in order: one for an image, the sampled frames for a clip; for a video its path,
            once per frame.
        bytes: total size of the distinct files.
        digest: XXH3-128 of their contents in order, hex; None if one could not be read.
        boxes: of the face in each of the files, `NO_FACE` where there is none; empty for whole images.
    """

    path: str
    label: int
    files: tuple[str, ...]
    bytes: int
    digest: str | None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The rows of one dataset; a row's id is its position here.

    Attributes:
        notes: for the user; not part of the content.
        short_clip: how the frames of short videos are sampled; None without videos.
        appearance: `viewed` if some images look different in a viewer, and are taken as it shows them.
    """

    name: str
    classes: tuple[str, ...]
    rows: tuple[ManifestRow, ...]
    notes: tuple[str, ...] = ()
    short_clip: ShortClip | None = None
    appearance: Literal["viewed"] | None = None

    @property
    def frames(self) -> int:
        """Files per row: 1 for images, the number of sampled frames for clips."""
        return len(self.rows[0].files)

    @cached_property
    def sha256(self) -> str:
        """Identity of the content: all but the dataset's name, its location and the notes."""
        digest = hashlib.sha256(_line({"classes": self.classes, **self._reading}))
        for lines in self._lines():
            digest.update(lines)
        return digest.hexdigest()

    @property
    def _reading(self) -> dict[str, str]:
        """What is not a matter of course, so that manifests keep the hash that they had before it could be said."""
        said = {"short_clip": self.short_clip, "appearance": self.appearance}
        return {name: value for name, value in said.items() if value is not None}

    def _lines(self) -> Iterator[bytes]:
        """The rows as lines of the file, some thousands at a time: there may be millions."""
        for start in range(0, len(self.rows), ROWS_AT_ONCE):
            yield "".join(map(_row_line, self.rows[start : start + ROWS_AT_ONCE])).encode("ascii")


def refuse_unlabelled(manifest: Manifest) -> None:
    """Make sure that a test set can be scored.

    Raises:
        DataError: it has rows without a label.
    """
    without = sum(row.label == UNLABELLED for row in manifest.rows)
    if without:
        found = "no labels" if without == len(manifest.rows) else f"no label for {without} of {len(manifest.rows)} rows"
        raise DataError(
            f"test set {manifest.name}: has {found}, and scoring needs one for every row. Labels come from the names "
            "of class folders, a table or a definition. Or take it out of score.datasets."
        )


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the file atomically: it is complete or does not exist."""
    header = {
        "format": FORMAT,
        "name": manifest.name,
        "classes": manifest.classes,
        "notes": manifest.notes,
        "rows": len(manifest.rows),
        "sha256": manifest.sha256,
        **manifest._reading,
    }
    make_folder(path.parent)
    with atomic_file(path) as temporary, temporary.open("xb") as file:
        file.writelines(chain([_line(header)], manifest._lines()))
        file.flush()
        os.fsync(file.fileno())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check its hash.

    Raises:
        DataError: the file cannot be read, or see `parse_manifest`.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: the manifest cannot be read ({error.strerror}). Build it first, or correct the path."
        ) from None
    return parse_manifest(raw, path)


def parse_manifest(raw: bytes, path: Path | str) -> Manifest:
    """Parse the content of a manifest file and check its hash.

    Args:
        path: used in error messages.

    Raises:
        DataError: it is not a manifest, its rows do not match the hash in its header, or it is inconsistent.
    """
    try:
        lines = io.BytesIO(raw)
        header = json.loads(next(lines, b""))
        if header["format"] != FORMAT:
            raise DataError(f"{path}: expected the format {FORMAT!r}, found {header['format']!r}.")
        rows = tuple(_row_from_json(json.loads(line)) for line in lines)
        manifest = Manifest(
            name=str(header["name"]),
            classes=tuple(header["classes"]),
            rows=rows,
            notes=tuple(header["notes"]),
            short_clip=header.get("short_clip"),
            appearance=header.get("appearance"),
        )
        intact = (len(rows), manifest.sha256) == (header["rows"], header["sha256"])
        problem = inconsistency(manifest) if intact else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: is not a manifest ({error!r}). Correct the path, or build it again.") from None
    if not intact:
        raise DataError(
            f"{path}: the rows do not match the hash in the first line. Delete the file and build it again."
        )
    if problem:
        raise DataError(f"{path}: {problem}. Fix the dataset and build the manifest again.")
    return manifest


def recorded_sha256(raw: bytes) -> str | None:
    """The hash in a manifest's header, from the first `HEADER_BYTES` of the file; None if there is no valid header.

    The hash is not checked against the rows.
    """
    try:
        return json.loads(raw.partition(b"\n")[0])["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def inconsistency(manifest: Manifest) -> str | None:
    """What is impossible in a manifest, as text for an error; None if it is consistent.

    A path may be listed twice, as in some published clip lists, but not with two labels or two contents.
    """
    if not manifest.rows:
        return "there are no rows"
    if len(set(manifest.classes)) != len(manifest.classes) or not all(isinstance(c, str) for c in manifest.classes):
        return f"the classes {manifest.classes} are not distinct names"
    if manifest.short_clip not in (None, *get_args(ShortClip)):
        return f"short_clip is {manifest.short_clip!r}"
    if manifest.appearance not in (None, "viewed"):
        return f"appearance is {manifest.appearance!r}"
    first_row: dict[str, int] = {}
    classes = len(manifest.classes)
    for number, row in enumerate(manifest.rows):
        if type(row.label) is not int or not UNLABELLED <= row.label < classes:
            return f"row {number} ({row.path!r}) has the label {row.label!r}, but there are {classes} classes"
        if type(row.bytes) is not int or row.bytes < 0:
            return f"row {number} ({row.path!r}) has {row.bytes!r} bytes"
        if len(row.files) != manifest.frames or not row.files:
            return f"row {number} ({row.path!r}) has {len(row.files)} frames, but other rows have {manifest.frames}"
        if row.boxes and (len(row.boxes) != len(row.files) or not all(map(_is_box, row.boxes))):
            return f"row {number} ({row.path!r}) has {len(row.files)} files and the boxes {row.boxes!r}"
        for name in (row.path,) if row.files == (row.path,) else {row.path, *row.files}:
            if reason := _invalid_path(name):
                return f"row {number}: the path {name!r} {reason}"
        first = first_row.setdefault(row.path, number)
        if manifest.rows[first] != row:
            return f"rows {first} and {number} are both {row.path!r}, but with different labels or contents"
    return None


def _is_box(box: object) -> bool:
    if not isinstance(box, tuple) or len(box) != 4 or not all(type(edge) is int and edge >= 0 for edge in box):
        return False
    left, top, right, bottom = box
    return box == NO_FACE or (left < right and top < bottom)


def _invalid_path(name: object) -> str | None:
    """Why a name cannot be a file below the dataset's root; None if it can."""
    if not isinstance(name, str) or not name:
        return "is not a name"
    if "\0" in name:
        return "contains a NUL character"
    if not name.isascii() and (encoding := sys.getfilesystemencoding()) != "utf-8":
        return f"is another name elsewhere, because Python takes file names for {encoding} here: set PYTHONUTF8=1"
    if name.startswith("/") or ".." in name.split("/"):
        return "points outside the dataset's folder"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "is not a valid file name on this system"
    return None


def _row_line(row: ManifestRow) -> str:
    """What `_line` would make of the row, several times as fast."""
    size, label, path, digest = map(json.dumps, (row.bytes, row.label, row.path, row.digest))
    files = "" if row.files == (row.path,) else f'"files":{json.dumps(row.files, separators=(",", ":"))},'
    boxes = f'"boxes":{json.dumps(row.boxes, separators=(",", ":"))},' if row.boxes else ""
    return f'{{{boxes}"bytes":{size},{files}"label":{label},"path":{path},"xxh3_128":{digest}}}\n'


def _row_from_json(item: dict[str, Any]) -> ManifestRow:
    return ManifestRow(
        path=item["path"],
        label=item["label"],
        files=tuple(item.get("files", (item["path"],))),
        bytes=item["bytes"],
        digest=item["xxh3_128"],
        boxes=tuple(map(tuple, item.get("boxes", ()))),
    )


def _line(value: object) -> bytes:
    """One line of ASCII JSON; names that are not UTF-8 survive as lone surrogates."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
