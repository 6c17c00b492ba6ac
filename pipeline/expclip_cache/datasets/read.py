"""List a dataset: its settings and root -> its rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from expclip_cache.base import AddressAccessError, DataError
from expclip_cache.datasets.address import Address, Root
from expclip_cache.datasets.annotation_files import read_annotation_files
from expclip_cache.datasets.clip_list import read_clip_list
from expclip_cache.datasets.definition import Definition, definition_of
from expclip_cache.datasets.ferplus_csv import read_ferplus_csv, read_label_csv
from expclip_cache.datasets.file_names import VIDEO_SUFFIXES, is_video
from expclip_cache.datasets.folders import read_frame_folders, read_image_folders
from expclip_cache.datasets.forms import (
    AnnotationForm,
    FolderForm,
    Form,
    ListForm,
    NamesForm,
    VotesForm,
    described,
    place_of,
)
from expclip_cache.datasets.item_list import read_item_list
from expclip_cache.datasets.listing import ListedRow, Listing, in_path_order
from expclip_cache.datasets.named_images import read_named_images
from expclip_cache.datasets.parquet_rows import read_parquet_rows
from expclip_cache.datasets.row_columns import BOXES, FILES
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.webdataset import read_webdataset

_READERS = {
    "image-folders": read_image_folders,
    "frame-folders": read_frame_folders,
    "webdataset": read_webdataset,
    "parquet": read_parquet_rows,
    "clip-list": read_clip_list,
    "ferplus-csv": read_ferplus_csv,
}

AT_ADDRESSES = ("image-folders", "frame-folders", "webdataset", "parquet")
"""Layouts that are read at addresses too."""


def read_rows(root: Root, dataset: DatasetSettings) -> Listing:
    """List a dataset. File names and lists are read, and no image.

    Args:
        root: its folder or address, see `resolve_root`.
        dataset: its settings.

    Raises:
        SettingsError: the settings contradict the definition they name.
        DataError: the folder is missing, empty, or does not match its layout; the message names the place.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    definition = definition_of(dataset)
    listing, read_as = _read_listing(root, definition, dataset)
    rows, crop_notes = _cropped(listing, definition, dataset)
    notes = (*_count_notes(definition, dataset, listing), *read_as, *crop_notes, *listing.notes)
    short_clip = dataset.short_clip if _has_videos(listing) else None
    return Listing(rows, listing.classes, notes, short_clip, dataset.used_appearance)


def _read_listing(root: Root, definition: Definition, dataset: DatasetSettings) -> tuple[Listing, list[str]]:
    """What the reader of the dataset's form or layout lists, and a note on the form."""
    if isinstance(root, Address):
        return _read_at_address(root, definition, dataset), []
    for form in definition.forms:
        if (place := place_of(form, root, dataset.fold)) is not None:
            read_as = [f"read as shipped: {place}"] if dataset.is_definition else []
            return _read_form(root, place, form, definition, dataset), read_as
    try:
        if definition.layout == "table":
            raise DataError(f"{root}: expected the table of {definition.title}, found none.")
        return _READERS[definition.layout](root, definition, dataset), []
    except DataError as error:
        raise _with_known_forms(error, definition, dataset) from None


def _read_at_address(root: Address, definition: Definition, dataset: DatasetSettings) -> Listing:
    """What the reader of the layout lists, if it is one that needs no other files than images and containers."""
    if definition.layout not in AT_ADDRESSES:
        raise DataError(
            f"{root}: layout {definition.layout} needs a folder of this machine, because its lists are read from "
            f"there. At an address can be {', '.join(AT_ADDRESSES)}."
        )
    try:
        return _READERS[definition.layout](root, definition, dataset)
    except AddressAccessError:
        raise
    except DataError as error:
        if not definition.forms:
            raise
        raise DataError(
            f"{error} As shipped, {definition.title} is read from a folder of this machine only; at an address its "
            f"files must be {definition.layout}."
        ) from None


def _cropped(
    listing: Listing, definition: Definition, dataset: DatasetSettings
) -> tuple[Sequence[ListedRow], list[str]]:
    """The rows with the boxes that are used, and a note on them."""
    if not listing.columns.has(BOXES):
        if dataset.crop == "boxes":
            raise DataError(
                f"{definition.title}: crop is boxes, but no table gives the boxes of its faces. Name their columns "
                "(box:), or choose crop: detect or none."
            )
        return listing.rows, []
    if dataset.crop in (None, "boxes"):
        return listing.rows, ["images are cropped to the boxes of the table (crop: none for whole images)"]
    return in_path_order(replace(row, boxes=()) for row in listing.rows), []


def _has_videos(listing: Listing) -> bool:
    if listing.columns.has(FILES):
        return any(is_video(row.files[0]) for row in listing.rows)
    return listing.columns.any_path_ends_in(VIDEO_SUFFIXES)


def is_there_as_shipped(definition: Definition, root: Path, fold: int | None) -> bool:
    """Whether a root has what shows one of a definition's forms; folders alone show none, since many sets have them."""
    if definition.clip_list is not None:
        names = [name.replace("{fold}", str(fold)) for name in definition.clip_list.files]
        if any((root / name).is_file() for name in names):
            return True
    if definition.ferplus_csv is not None and (root / definition.ferplus_csv.votes).is_file():
        return True
    return any(not isinstance(form, FolderForm | NamesForm) and place_of(form, root, fold) for form in definition.forms)


def _read_form(root: Path, place: str, form: Form, definition: Definition, dataset: DatasetSettings) -> Listing:
    """A dataset in one of the forms in which it is shipped; `place` is what was found of it."""
    if isinstance(form, ListForm):
        return read_item_list(root, root / place, form, definition, dataset)
    if isinstance(form, VotesForm):
        return read_label_csv(root, place, form, definition, dataset)
    if isinstance(form, AnnotationForm):
        return read_annotation_files(root, form, definition, dataset)
    if isinstance(form, NamesForm):
        return read_named_images(root, form, definition, dataset)
    reader = read_frame_folders if form.clips else read_image_folders
    below = reader(root / place, definition, dataset)
    prefix = "" if place == "." else f"{place}/"
    rows = (ListedRow(prefix + row.path, row.label, tuple(prefix + file for file in row.files)) for row in below.rows)
    return Listing(in_path_order(rows), below.classes, below.notes)


def _with_known_forms(error: DataError, definition: Definition, dataset: DatasetSettings) -> DataError:
    """The error of the layout, and the forms that are not there either."""
    if not definition.forms:
        return error
    forms = ", ".join(described(form).replace("{fold}", str(dataset.fold)) for form in definition.forms)
    return DataError(
        f"{error} {definition.title} is also read as shipped, if the root has one of: {forms}. See docs/datasets.md."
    )


def _count_notes(definition: Definition, dataset: DatasetSettings, listing: Listing) -> list[str]:
    """Notes on classes without items and on differences from the published numbers of test items."""
    labels = listing.columns.labels
    found = np.bincount(labels[labels >= 0], minlength=len(listing.classes)).tolist()
    notes = []
    empty = [name for name, count in zip(listing.classes, found, strict=True) if count == 0]
    if empty:
        notes.append(f"classes without items: {', '.join(empty)}")
    if definition.total and not definition.total[0] <= len(listing.rows) <= definition.total[1]:
        smallest, largest = definition.total
        expected = smallest if smallest == largest else f"{smallest} to {largest}"
        notes.append(f"{len(listing.rows)} items instead of {expected}")
    published = definition.published_counts(dataset.fold)
    if published is not None and dataset.labelled and list(published) != found:
        differing = [
            f"{name} {count} instead of {wanted}"
            for name, count, wanted in zip(listing.classes, found, published, strict=True)
            if count != wanted
        ]
        notes.append(
            f"{sum(found)} items instead of the published {sum(published)}, so scores are only roughly comparable: "
            f"{', '.join(differing)}"
        )
    return notes
