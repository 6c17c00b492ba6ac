"""Layout parquet: Parquet files as the libraries `datasets` and img2dataset write them, rows with an image and a class.

The image is in the row, or the row has its path relative to the file. Of the images nothing is read here.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.contained import PARQUET, TAR, open_containers
from expclip_cache.datasets.container_files import container_files, split_notes
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.listing import Listing, missing_images
from expclip_cache.datasets.parquet_images import ParquetImages
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.worded_rows import WordedRows

LABEL = "label"
"""The column of the class if nothing is said."""


def read_parquet_rows(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per row of the files that has an image.

    Raises:
        DataError: there is no Parquet file, one cannot be read or has no column of images or classes, no row has an
            image, or a class is unknown.
    """
    settings = dataset.samples or Samples()
    own = definition.with_native(settings.native)
    places = container_files(root, settings.files, PARQUET)
    found = _Files(root, places, settings, dataset.labelled)
    rows = WordedRows(found.images())
    if not rows:
        raise DataError(
            f"{root}: expected rows with an image{' and a class' * dataset.labelled}, found {found.without_image} "
            f"without an image and {found.without_class} without a class. Check "
            f"samples.files{' and samples.label' * dataset.labelled}."
        )
    listed, classes, notes = rows.labelled(own, dataset.labelled, str(root), "rows")
    notes += split_notes(places)
    notes += [f"{found.without_image} rows have no image and are ignored"] * bool(found.without_image)
    notes += [f"{found.without_class} rows have no class and are ignored"] * bool(found.without_class)
    notes += missing_images(root, found.beside, str(root), "Paths are taken as relative to their Parquet file.")
    return Listing(listed, classes, tuple(notes))


@dataclass
class _Files:
    """What is found in Parquet files, one after the other.

    Attributes:
        beside: paths of images that are files of their own.
    """

    root: Root
    places: Sequence[str]
    settings: Samples
    labelled: bool
    without_image: int = 0
    without_class: int = 0
    beside: list[str] = field(default_factory=list)

    def images(self) -> Iterator[tuple[str, str]]:
        """Path and word of each row that has an image and, if the rows are labelled, a class."""
        for place, file in zip(self.places, open_containers(self.root, self.places), strict=True):
            assert isinstance(file, ParquetImages)
            found, are_inside = _paths(file, self.root, place, _column(file, self.settings))
            words = _words(file, self.settings) if self.labelled else [""] * file.rows
            for path, word in zip(found, words, strict=True):
                if path is None:
                    self.without_image += 1
                elif word is None:
                    self.without_class += 1
                else:
                    yield path, word
            self.beside += () if are_inside else (path for path in found if path is not None)


def _column(file: ParquetImages, settings: Samples) -> str:
    """The column of the images."""
    wanted = [settings.image] if settings.image else file.image_columns
    columns = [name for name in wanted if name in file.schema.names]
    if len(columns) != 1:
        expected = f"a column {settings.image} of images" if settings.image else "one column of images"
        raise DataError(
            f"{file.path}: expected {expected}, found the columns {', '.join(file.schema.names)}. "
            f"{_tables_of_others(file.path) or 'Say which it is: samples.image.'}"
        )
    _refuse_twice(file, columns[0])
    if not file.holds_images(columns[0]):
        raise DataError(
            f"{file.path}: expected images in the column {columns[0]}, as bytes or paths, found values of the type "
            f"{file.schema.field(columns[0]).type}. Say which column it is: samples.image."
        )
    return columns[0]


def _refuse_twice(file: ParquetImages, column: str) -> None:
    """A name must not stand for several columns."""
    if (count := file.schema.names.count(column)) > 1:
        raise DataError(
            f"{file.path}: expected one column {column}, found {count} of that name. Write the file again with "
            "different names."
        )


def _tables_of_others(file: Root) -> str:
    """What to do if the images are in something else beside the file, of which it is the table."""
    if file.with_suffix(TAR).is_file():
        return f"It is the table of the images in {file.stem}{TAR}: choose the layout webdataset."
    if file.with_suffix("").is_dir():
        return f"It is the table of the images in the folder {file.stem}: choose a layout for folders of images."
    return ""


def _paths(file: ParquetImages, root: Root, place: str, column: str) -> tuple[Sequence[str | None], bool]:
    """The path of each row's image, None for a row without; and whether the images are in the file or beside it."""
    beside = file.paths_beside(column)
    if beside is not None:
        return [_below(root, place, path) if path else None for path in beside], False
    missing = file.without_image(column)
    digits = len(str(file.rows))  # padded, so that the order of the paths is that of the rows
    rows = range(file.rows)
    return [None if row in missing else f"{place}/{column}/{row:0{digits}}" for row in rows], True


def _below(root: Root, place: str, path: str) -> str:
    """The path of an image that a row of the file at `place` names, relative to the root."""
    found = os.path.normpath(PurePath(place).parent / path)
    if PurePath(found).is_absolute() and isinstance(root, Path):
        found = os.path.relpath(found, root)
    if found.startswith((os.pardir, os.sep)):
        raise DataError(
            f"{root / place}: has the path {path!r}, which leads out of the dataset's folder {root}. Choose a source "
            "above both (samples.files says which files to read), or write the file again with the images inside."
        )
    return PurePath(found).as_posix()


def _words(file: ParquetImages, settings: Samples) -> Sequence[str | None]:
    """The class of each row in the file's own words, None without one; a ClassLabel has their names in its metadata."""
    column = settings.label or LABEL
    if column not in file.schema.names:
        raise DataError(
            f"{file.path}: expected the class in the column {column}, found the columns "
            f"{', '.join(file.schema.names)}. Say which (samples.label), or set labelled: false."
        )
    _refuse_twice(file, column)
    values = file.column(column)
    kind = file.features.get(column, {})
    names = kind.get("names") if kind.get("_type") == "ClassLabel" else None
    if names is None:
        return [None if value is None else str(value) for value in values]
    _refuse_other_meaning(file.path, column, names, settings)
    if wrong := [value for value in values if value is not None and not -1 <= value < len(names)]:
        raise DataError(f"{file.path}: has the class {wrong[0]} in {column}, but only {len(names)} names of classes.")
    return [None if value is None or value < 0 else str(names[value]) for value in values]


def _refuse_other_meaning(file: Root, column: str, names: Sequence[str], settings: Samples) -> None:
    """A number must not mean one class in the file and another in `samples.native`."""
    for number, name in enumerate(names):
        meant = settings.native.get(str(number))
        if meant is not None and settings.native.get(name, name) != meant:
            raise DataError(
                f"{file}: in {column} the number {number} is called {name!r}, but samples.native says {meant!r}. "
                "Remove the numbers: the file names its classes."
            )
