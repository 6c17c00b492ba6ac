"""What a reader hands on: the rows of a dataset, in a fixed order."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

UNLABELLED = -1
"""The label of a row whose class is unknown or not used."""


@dataclass(frozen=True)
class Row:
    """One image or clip.

    Attributes:
        path: of the image, or of the clip's folder; posix, relative to the dataset's root. Bytes that are no
            UTF-8 are kept as lone surrogates (`os.fsdecode`).
        label: index into the listing's classes, or UNLABELLED.
        files: what to decode, relative to the root, in order: (path,) for an image; for a clip exactly the
            sampled frames, with repeats where the rule for short clips asks for them.
    """

    path: str
    label: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A dataset as it lies on disk; nothing is decoded.

    Attributes:
        rows: ordered by the bytes of their path, whatever order the file system lists them in.
        classes: names in canonical order, that labels index; empty for unlabelled datasets.
        notes: for people: what was left out and why, what differs from the published counts or lists.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def in_path_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows sorted by the bytes of their path; rows with the same path keep their order."""
    return tuple(sorted(rows, key=lambda row: os.fsencode(row.path)))


def some(items: Iterable[object], limit: int = 3) -> str:
    """The first few items in words, for notes and errors.

    >>> some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    items = list(items)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(repr(item) for item in items[:limit]) + more
