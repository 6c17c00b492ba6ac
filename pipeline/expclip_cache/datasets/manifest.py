"""The manifest of a dataset: the ordered, hashed list of rows that every later stage refers to.

Paths are relative to the dataset's root, so a manifest is the same on every machine and can be used on machines without
the raw data.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.datasets.boxes import Box
from expclip_cache.datasets.listing import UNLABELLED
from expclip_cache.datasets.manifest_lines import json_line, row_lines
from expclip_cache.datasets.row_checks import impossible_rows
from expclip_cache.datasets.row_columns import BOXES, BYTES, DIGEST, RowColumns, rows_in
from expclip_cache.datasets.row_parts import columns_of
from expclip_cache.datasets.sampling import ShortClip

if TYPE_CHECKING:
    import pyarrow as pa


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
        rows: in columns (`RowColumns`) if they were listed or read from a file.
        notes: for the user; not part of the content.
        short_clip: how the frames of short videos are sampled; None without videos.
        appearance: `viewed` if some images look different in a viewer, and are taken as it shows them.
    """

    name: str
    classes: tuple[str, ...]
    rows: Sequence[ManifestRow]
    notes: tuple[str, ...] = ()
    short_clip: ShortClip | None = None
    appearance: Literal["viewed"] | None = None

    @property
    def frames(self) -> int:
        """Files per row: 1 for images, the number of sampled frames for clips."""
        return len(self.rows[0].files)

    @property
    def has_boxes(self) -> bool:
        """Whether images are cropped to boxes, some of them at least."""
        return self.columns.has(BOXES)

    @cached_property
    def columns(self) -> RowColumns[ManifestRow]:
        """The rows in columns.

        Raises:
            DataError: a path is not one that a file can have.
        """
        return self.rows if isinstance(self.rows, RowColumns) else in_columns(self.rows)

    @cached_property
    def sha256(self) -> str:
        """Identity of the content: all but the dataset's name, its location and the notes."""
        digest = hashlib.sha256(json_line({"classes": self.classes, **self.reading}))
        for part in self.columns.parts:
            digest.update(row_lines(part))
        return digest.hexdigest()

    @property
    def reading(self) -> dict[str, str]:
        """What is not a matter of course, so that manifests keep the hash that they had before it could be said."""
        said = {"short_clip": self.short_clip, "appearance": self.appearance}
        return {name: value for name, value in said.items() if value is not None}


def in_columns(rows: Iterable[ManifestRow]) -> RowColumns[ManifestRow]:
    """The rows of a manifest in columns.

    Raises:
        DataError: a path is not one that a file can have.
    """
    return columns_of(rows, manifest_rows, lambda part: _contents([(row.bytes, row.digest) for row in part]))


def with_contents(part: "pa.RecordBatch", contents: Sequence[tuple[int, str | None]]) -> "pa.RecordBatch":
    """The rows of a listing with the size and the hash of each, as they are in a manifest."""
    import pyarrow as pa

    listed = {name: part.column(name) for name in part.schema.names}
    return pa.RecordBatch.from_pydict(listed | _contents(contents))


def manifest_rows(part: "pa.RecordBatch") -> Iterator[ManifestRow]:
    """The rows of a part of a manifest's columns."""
    sizes, digests = part.column(BYTES).to_pylist(), part.column(DIGEST).to_pylist()
    for (path, label, files, boxes), size, digest in zip(rows_in(part), sizes, digests, strict=True):
        yield ManifestRow(path, label, files, size, None if digest is None else digest.hex(), boxes)


def _contents(contents: Sequence[tuple[int, str | None]]) -> dict[str, "pa.Array"]:
    import pyarrow as pa

    digests = [None if digest is None else bytes.fromhex(digest) for _, digest in contents]
    return {BYTES: pa.array([size for size, _ in contents], pa.int64()), DIGEST: pa.array(digests, pa.binary(16))}


def refuse_unlabelled(manifest: Manifest) -> None:
    """Make sure that a test set can be scored.

    Raises:
        DataError: it has rows without a label.
    """
    without = int(np.count_nonzero(manifest.columns.labels == UNLABELLED))
    if without:
        found = "no labels" if without == len(manifest.rows) else f"no label for {without} of {len(manifest.rows)} rows"
        raise DataError(
            f"test set {manifest.name}: has {found}, and scoring needs one for every row. Labels come from the names "
            "of class folders, a table or a definition. Or take it out of score.datasets."
        )


def inconsistency(manifest: Manifest) -> str | None:
    """What is impossible in a manifest, as text for an error; None if it is consistent."""
    if not manifest.rows:
        return "there are no rows"
    if problem := impossible_header(manifest):
        return problem
    return impossible_rows(manifest.columns.parts, len(manifest.classes))


def impossible_header(manifest: Manifest) -> str | None:
    """The same without the rows."""
    classes = cast("tuple[object, ...]", manifest.classes)
    if len(set(classes)) != len(classes) or not all(isinstance(name, str) for name in classes):
        return f"the classes {classes} are not distinct names"
    if manifest.short_clip not in (None, *get_args(ShortClip)):
        return f"short_clip is {manifest.short_clip!r}"
    if manifest.appearance not in (None, "viewed"):
        return f"appearance is {manifest.appearance!r}"
    return None
