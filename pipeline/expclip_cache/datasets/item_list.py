"""Lists of images or clips as the makers of datasets ship them, see `ListForm`."""

import csv
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from expclip_cache.base import DataError
from expclip_cache.datasets.clips import Clip, clip_rows
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.forms import ListForm, filled
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, in_path_order, missing_images
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import frame_names

_DELIMITERS = {"comma": ",", "tab": "\t"}


def read_item_list(root: Path, file: Path, form: ListForm, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per line of the list that belongs to the split.

    Raises:
        DataError: the list is empty or has an invalid line, a class is unknown, or most of its items are not there.
    """
    entries = [
        (number, entry)
        for number, entry in _entries(file, form)
        if all(fnmatchcase(entry.get(column, ""), pattern) for column, pattern in form.only.items())
    ]
    if not entries:
        raise DataError(f"{file}: expected one {'clip' if form.clips else 'image'} per line, found none.")
    paths = [_path(form, entry, f"{file}, line {number}") for number, entry in entries]
    words = [entry[form.label] for _, entry in entries]
    own = definition.model_copy(update={"native": form.native}) if form.native else definition
    labels, classes, notes = labels_of(words, own, dataset.labelled, str(file), "listed items")
    kept = [(path, label) for path, label in zip(paths, labels, strict=True) if label is not None]
    if form.clips:
        clips = [Clip(path, label, frame_names(root / path)) for path, label in kept]
        rows, clip_notes = clip_rows(root, clips, dataset)
        return Listing(rows, classes, (*notes, *clip_notes))
    notes += missing_images(root, [path for path, _ in kept], str(file), "Unpack the images, or correct the root.")
    return Listing(in_path_order(ListedRow(path, label, (path,)) for path, label in kept), classes, tuple(notes))


def _entries(file: Path, form: ListForm) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line number and columns of each line that is not empty."""
    lines = os.fsdecode(file.read_bytes().removeprefix(b"\xef\xbb\xbf")).replace("\r\n", "\n").split("\n")
    columns = form.columns
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if form.separator == "space":
            fields = line.strip().rsplit(maxsplit=len(columns) - 1) if columns else line.split()
        else:
            fields = [field.strip() for field in next(csv.reader([line], delimiter=_DELIMITERS[form.separator]))]
        if not columns:
            columns = tuple(fields)
            if form.label not in columns:
                raise DataError(f"{file}: expected a column {form.label!r}, found {', '.join(columns)}.")
            continue
        if len(fields) != len(columns):
            raise DataError(
                f"{file}, line {number}: expected {form.separator}s between {', '.join(columns)}, found {line!r}."
            )
        yield number, dict(zip(columns, fields, strict=True))


def _path(form: ListForm, entry: Mapping[str, str], where: str) -> str:
    try:
        path = PurePosixPath(filled(form.path, entry))
    except KeyError as error:
        raise DataError(f"{where}: there is no column {error}.") from None
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: the path {str(path)!r} leads outside the dataset's folder.")
    return str(path)
