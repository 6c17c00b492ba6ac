"""A dataset on disk -> an ordered, hashed list of rows: the one thing every later stage agrees on.

The file is JSON lines: a header, then one row a line. Paths are relative to the dataset's root, so a manifest is the
same on every machine, and machines without the raw data can use it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import xxhash

from expclip_cache.base import DataError, write_atomically
from expclip_cache.datasets.listing import UNLABELLED, Listing

FORMAT = "expclip-cache manifest 1"

HEADER_BYTES = 1 << 20
"""Of a manifest's beginning, which hold its first line."""


@dataclass(frozen=True)
class ManifestRow:
    """One image or clip.

    Attributes:
        path: of the image, or of the clip's folder; posix, relative to the dataset's root.
        label: index into the manifest's classes, -1 where there is none.
        files: the files to decode, in order; for an image the path alone, for a clip its sampled frames.
        bytes: size of the distinct files together.
        digest: XXH3-128 over their contents in order, hex; None where one could not be read.
    """

    path: str
    label: int
    files: tuple[str, ...]
    bytes: int
    digest: str | None


@dataclass(frozen=True)
class Manifest:
    """The rows of one dataset; a row's id is its position here."""

    name: str
    classes: tuple[str, ...]
    rows: tuple[ManifestRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Pictures per row: 1 for images."""
        return len(self.rows[0].files)

    @cached_property
    def sha256(self) -> str:
        """Identity of the content: classes and rows, whatever the dataset is called and wherever it lies."""
        digest = hashlib.sha256(_line({"classes": self.classes}))
        for row in self.rows:
            digest.update(_line(_row_to_json(row)))
        return digest.hexdigest()


def build_manifest(
    name: str, root: Path, listing: Listing, advance: Callable[[int], None] = lambda _: None
) -> Manifest:
    """Read every file of a listing once and record its size and hash.

    A file that cannot be read keeps its row, without a hash: whether that is an error is for the extraction to say.

    Args:
        advance: called with 1 after each row.

    Raises:
        DataError: the listing is empty or contradicts itself.
    """

    def measure(row) -> ManifestRow:
        size, digest = _measure(root, dict.fromkeys(row.files))
        return ManifestRow(row.path, row.label, tuple(row.files), size, digest)

    rows = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for row in pool.map(measure, listing.rows):
            rows.append(row)
            advance(1)
    manifest = Manifest(name, tuple(listing.classes), tuple(rows), tuple(listing.notes))
    if found := contradiction(manifest):
        raise DataError(f"{root}: {found}.")
    return manifest


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the file in one step: it is there whole or not at all."""
    header = {
        "format": FORMAT,
        "name": manifest.name,
        "classes": manifest.classes,
        "notes": manifest.notes,
        "rows": len(manifest.rows),
        "sha256": manifest.sha256,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, b"".join([_line(header), *(_line(_row_to_json(row)) for row in manifest.rows)]))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and prove it whole.

    Raises:
        DataError: the file is missing; or see `parse_manifest`.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the manifest cannot be read ({error.strerror}). Make it first.") from None
    return parse_manifest(raw, path)


def parse_manifest(raw: bytes, path: Path | str) -> Manifest:
    """The manifest of a file's content, proved whole.

    Args:
        path: named in errors.

    Raises:
        DataError: it is no manifest, its rows do not give the hash in its header, or they contradict each other.
    """
    try:
        header, *lines = raw.splitlines()
        head = json.loads(header)
        if head["format"] != FORMAT:
            raise DataError(f"{path}: expected the format {FORMAT!r}, found {head['format']!r}.")
        rows = tuple(_row_from_json(json.loads(line)) for line in lines)
        manifest = Manifest(str(head["name"]), tuple(head["classes"]), rows, tuple(head["notes"]))
        whole = (len(rows), manifest.sha256) == (head["rows"], head["sha256"])
        found = contradiction(manifest) if whole else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: is no manifest ({error!r}). Delete it and make it again.") from None
    if not whole:
        raise DataError(f"{path}: the rows do not match the hash in its first line. Delete it and make it again.")
    if found:
        raise DataError(f"{path}: {found}. Mend the dataset and make it again.")
    return manifest


def recorded_sha256(raw: bytes) -> str | None:
    """The hash that a manifest claims to have, by its first `HEADER_BYTES`; None if they have no such line.

    The hash is not proved here.
    """
    try:
        return json.loads(raw.partition(b"\n")[0])["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def contradiction(manifest: Manifest) -> str | None:
    """What cannot be true of a dataset, in words; None if all can.

    A path may be listed twice, as some published clip lists do, but not with two labels or two contents.
    """
    if not manifest.rows:
        return "there are no rows"
    if len(set(manifest.classes)) != len(manifest.classes) or not all(isinstance(c, str) for c in manifest.classes):
        return f"the classes {manifest.classes} are not different names"
    seen: dict[str, int] = {}
    classes = len(manifest.classes)
    for number, row in enumerate(manifest.rows):
        if type(row.label) is not int or not UNLABELLED <= row.label < classes:
            return f"row {number} ({row.path!r}) has the label {row.label!r}, and there are {classes} classes"
        if len(row.files) != manifest.frames or not row.files:
            return f"row {number} ({row.path!r}) has {len(row.files)} frames, others have {manifest.frames}"
        for name in {row.path, *row.files}:
            if reason := _impossible(name):
                return f"row {number}: the path {name!r} {reason}"
        first = seen.setdefault(row.path, number)
        if manifest.rows[first] != row:
            return f"rows {first} and {number} are both {row.path!r}, with different labels or contents"
    return None


def _impossible(name: str) -> str | None:
    """Why a name cannot be a file below the dataset's root."""
    if not isinstance(name, str) or not name:
        return "is no name"
    if "\0" in name:
        return "holds a NUL character"
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        return "leads out of the dataset's folder"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "is no file name on this system"
    return None


def changed_rows(
    manifest: Manifest, root: Path, rows: Iterable[int], advance: Callable[[int], None] = lambda _: None
) -> list[int]:
    """The ids among `rows` whose files are no longer what the manifest recorded."""
    changed = []
    for row_id in rows:
        row = manifest.rows[row_id]
        if _measure(root, dict.fromkeys(row.files)) != (row.bytes, row.digest):
            changed.append(row_id)
        advance(1)
    return changed


def _measure(root: Path, files: Iterable[str]) -> tuple[int, str | None]:
    """(bytes, XXH3-128 hex) of the files' contents one after the other; hash None where one cannot be read."""
    size, digest = 0, xxhash.xxh3_128()
    for name in files:
        path = root / name
        try:
            if not path.is_file():
                return 0, None
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    size += len(block)
                    digest.update(block)
        except OSError:
            return 0, None
    return size, digest.hexdigest()


def _row_to_json(row: ManifestRow) -> dict:
    item = {"path": row.path, "label": row.label, "bytes": row.bytes, "xxh3_128": row.digest}
    return item if row.files == (row.path,) else item | {"files": row.files}


def _row_from_json(item: dict) -> ManifestRow:
    files = tuple(item.get("files", (item["path"],)))
    return ManifestRow(item["path"], item["label"], files, item["bytes"], item["xxh3_128"])


def _line(value: object) -> bytes:
    """One line of ASCII JSON; names that are not UTF-8 survive as lone surrogates."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
