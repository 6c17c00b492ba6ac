"""Tables of images or clips, see `Table`."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path, PurePosixPath

from expclip_cache.base import DataError
from expclip_cache.datasets.boxes import NO_FACE, Box, listed_box
from expclip_cache.datasets.clips import clip_at, clip_rows
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.forms import ListForm, filled
from expclip_cache.datasets.labels import Labels, labels_of
from expclip_cache.datasets.listing import UNLABELLED, ListedRow, Listing, examples, in_path_order, missing_images
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.table_file import Entry, read_table

TRIED = 32
"""Rows whose files decide between several places of the images."""


def read_item_list(root: Path, file: Path, form: ListForm, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per line of the table that belongs to the split.

    Raises:
        DataError: the table cannot be read or has no such line, lacks a column, a class is unknown, most of its items
            are not there, or one is listed with several classes or boxes.
    """
    lines = read_table(file, form.separator, form.columns)
    lines = [(where, entry) for where, entry in lines if _is_of_the_split(form, entry, f"{file}, {where}")]
    if not lines:
        raise DataError(f"{file}: expected one {'clip' if form.clips else 'image'} per line, found none.")
    own = definition.with_native(form.native)
    labels, classes, notes = _labels(lines, form, own, dataset, file)
    kept = [(line, label) for line, label in zip(lines, labels, strict=True) if label is not None]
    paths = _paths(root, form, [line for line, _ in kept], file)
    boxes = [_box(form, entry, f"{file}, {where}") for (where, entry), _ in kept]
    notes += _notes_on_boxes(boxes)
    if form.clips:
        clips = [clip_at(root, path, label, box=box) for path, (_, label), box in zip(paths, kept, boxes, strict=True)]
        rows, clip_notes = clip_rows(root, clips, dataset)
        return Listing(rows, classes, (*notes, *_repeated(rows, form, file), *clip_notes))
    notes += missing_images(root, paths, str(file), "Unpack the images, or correct the root.")
    keys = [_filled(form.key, entry, f"{file}, {where}") for (where, entry), _ in kept] if form.key else paths
    rows = in_path_order(
        ListedRow(key, label, (path,), () if box is None else (box,))
        for key, path, (_, label), box in zip(keys, paths, kept, boxes, strict=True)
    )
    return Listing(rows, classes, (*notes, *_repeated(rows, form, file)))


def _is_of_the_split(form: ListForm, entry: Entry, where: str) -> bool:
    return all(fnmatchcase(_column(entry, column, where), pattern) for column, pattern in form.only.items())


def _labels(
    lines: Sequence[tuple[str, Entry]], form: ListForm, definition: Definition, dataset: DatasetSettings, file: Path
) -> tuple[Sequence[int | None], tuple[str, ...], list[str]]:
    """As `labels_of`; an item without a majority of votes has no label."""
    if not dataset.labelled or (form.label is None and not form.votes):
        return [UNLABELLED] * len(lines), (), []
    if form.label is not None:
        words = [_column(entry, form.label, f"{file}, {where}") for where, entry in lines]
        return labels_of(words, definition, True, str(file), "listed items")
    winners = [_majority(form, entry, f"{file}, {where}") for where, entry in lines]
    # Every column has a class, whether it wins anything or not.
    label_of = Labels(definition, form.votes, str(file))
    labels = [None if winner is None else label_of.label(winner) for winner in winners]
    undecided, ignored = winners.count(None), labels.count(None) - winners.count(None)
    notes = []
    if undecided:
        notes.append(f"{undecided} of {len(lines)} items are ignored: no class has a majority of their votes")
    if ignored:
        notes.append(f"{ignored} listed items are ignored: their class is not among {', '.join(label_of.classes)}")
    return labels, label_of.classes, notes


def _majority(form: ListForm, entry: Entry, where: str) -> str | None:
    """The column with more than half of the votes."""
    votes = {column: _number(entry, column, where) for column in form.votes}
    if min(votes.values()) < 0:
        raise DataError(f"{where}: votes cannot be negative.")
    column = max(votes, key=votes.__getitem__)
    return column if 2 * votes[column] > sum(votes.values()) else None


def _paths(root: Path, form: ListForm, lines: Sequence[tuple[str, Entry]], file: Path) -> list[str]:
    """The path of each item, by the first template that leads to one of those that are tried."""
    step = max(1, len(lines) // TRIED)
    for template in form.path:
        tried = (_filled(template, entry, f"{file}, {where}") for where, entry in lines[::step])
        if any((root / path).exists() for path in tried):
            break
    else:
        template = form.path[0]
    return [_filled(template, entry, f"{file}, {where}") for where, entry in lines]


def _filled(template: str, entry: Entry, where: str) -> str:
    try:
        text = filled(template, entry)
    except KeyError as error:
        raise _no_column(error.args[0], entry, where) from None
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: the path {str(path)!r} leads outside the dataset's folder.")
    if not path.parts or "\0" in text or not _is_encodable(text):
        raise DataError(f"{where}: expected a path, found {text!r}.")
    return str(path)


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _repeated(rows: Sequence[ListedRow], form: ListForm, file: Path) -> list[str]:
    """A note on items that are listed more than once, each time with the same class and box."""
    repeated = [path for path, count in Counter(row.path for row in rows).items() if count > 1]
    differing = [path for path, count in Counter(row.path for row in dict.fromkeys(rows)).items() if count > 1]
    if differing:
        advice = "" if form.clips else " If these are several faces in one image, give each a name of its own (key:)."
        raise DataError(
            f"{file}: {len(differing)} items are listed more than once with different classes or boxes: "
            f"{examples(differing)}.{advice}"
        )
    if not repeated:
        return []
    return [f"{len(repeated)} items are listed more than once and have a row per listing: {examples(repeated)}"]


def _box(form: ListForm, entry: Entry, where: str) -> Box | None:
    if form.box is None:
        return None
    if all(entry.get(column, "?").lower() in ("", "null") for column in form.box.columns.values()):
        return NO_FACE
    try:
        return listed_box(form.box.columns, entry)
    except KeyError as error:
        raise _no_column(error.args[0], entry, where) from None
    except ValueError as error:
        raise DataError(f"{where}: expected the box of the face in pixels ({error}).") from None


def _notes_on_boxes(boxes: Sequence[Box | None]) -> list[str]:
    empty = boxes.count(NO_FACE)
    return [f"{empty} of {len(boxes)} items have an empty box and will fail to decode"] if empty else []


def _number(entry: Entry, column: str, where: str) -> float:
    text = _column(entry, column, where)
    try:
        number = float(text or 0)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise DataError(f"{where}: expected a number in {column}, found {text!r}.")
    return number


def _column(entry: Entry, column: str, where: str) -> str:
    if column not in entry:
        raise _no_column(column, entry, where)
    return entry[column]


def _no_column(column: str, entry: Mapping[str, str], where: str) -> DataError:
    return DataError(f"{where}: expected a column {column!r}, found {examples(entry, 12)}.")
