"""What the readers return: the rows of a dataset, in a fixed order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Address, Root
from expclip_cache.datasets.appearance import Appearance
from expclip_cache.datasets.boxes import Box
from expclip_cache.datasets.row_columns import RowColumns, rows_in
from expclip_cache.datasets.row_parts import columns_of, sorted_by_path
from expclip_cache.datasets.sampling import ShortClip

if TYPE_CHECKING:
    import pyarrow as pa

UNLABELLED = -1
"""The label of a row whose class is unknown or not used."""


@dataclass(frozen=True, slots=True)
class ListedRow:
    """One image or clip.

    Attributes:
        path: of the image, of the video, or of the clip's folder; posix, relative to the dataset's root. Bytes that
            are not UTF-8 are kept as lone surrogates (`os.fsdecode`). Where one image has several rows, one for each
            face, a name of its own.
        label: index into the listing's classes, or UNLABELLED.
        files: the files to decode, relative to the root, in order: one for an image; for a clip its sampled frames,
            with repeats where the rule for short clips makes them; for a video its path, once per frame.
        boxes: of the face in each of the files; empty for whole images.
    """

    path: str
    label: int
    files: tuple[str, ...]
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Listing:
    """A dataset as found on disk; nothing is decoded.

    Attributes:
        rows: sorted by the bytes of their paths, independent of the file system; in columns (`RowColumns`) if they were
            read from a dataset.
        classes: (c,) names in canonical order, indexed by the labels; empty for unlabelled datasets.
        notes: for the user: what was ignored and why, and what differs from the published counts or lists.
        short_clip: how frames of a short video are sampled, which is known once it is decoded; None without videos.
        appearance: how images are taken that look different in a viewer.
    """

    rows: Sequence[ListedRow]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    short_clip: ShortClip | None = None
    appearance: Appearance = "stored"

    @cached_property
    def columns(self) -> RowColumns[ListedRow]:
        """The rows in columns.

        Raises:
            DataError: a path is not one that a file can have.
        """
        return self.rows if isinstance(self.rows, RowColumns) else columns_of(self.rows, listed_rows)


def listed_rows(part: "pa.RecordBatch") -> Iterator[ListedRow]:
    """The rows of a part of a listing's columns."""
    return starmap(ListedRow, rows_in(part))


def in_path_order(rows: Iterable[ListedRow]) -> RowColumns[ListedRow]:
    """Rows sorted by the bytes of their paths; rows with the same path keep their order.

    Raises:
        DataError: a path is not one that a file can have.
    """
    found = columns_of(rows, listed_rows)
    return RowColumns(sorted_by_path(found.parts), len(found), listed_rows)


def missing_images(root: Root, paths: Sequence[str], where: str, advice: str) -> list[str]:
    """A note on listed images that are not there.

    Args:
        where: what lists them, or their folder; how the error begins.
        advice: how the error ends.

    Raises:
        DataError: most of them are not.
    """
    if isinstance(root, Address):
        there = set(root.files()) if paths else set[str]()
        missing = [path for path in paths if path not in there]
    else:
        missing = [path for path in paths if not (root / path).exists()]
    if 2 * len(missing) > len(paths):
        raise DataError(
            f"{where}: expected {len(paths)} images, of which {len(missing)} are not there, such as "
            f"{examples(str(root / path) for path in missing)}. {advice}"
        )
    return [f"{len(missing)} images are missing and will fail to decode: {examples(missing)}"] if missing else []


def examples(items: Iterable[object], limit: int = 3) -> str:
    """The first few items as text, for notes and errors.

    >>> examples(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    items = list(items)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(repr(item) for item in items[:limit]) + more
