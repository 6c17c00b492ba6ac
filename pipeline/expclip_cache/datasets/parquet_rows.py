"""Layout parquet: Parquet files as the library `datasets` writes them, a row with an image and a class.

The image is in the row, or the row has its path relative to the file. Of the images nothing is read here.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.contained import PARQUET, open_containers
from expclip_cache.datasets.container_files import container_files
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, in_path_order
from expclip_cache.datasets.parquet_images import ParquetImages
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.settings import DatasetSettings

LABEL = "label"
"""The column of the class if nothing is said."""


def read_parquet_rows(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per row of the files.

    Raises:
        DataError: there is no Parquet file, one cannot be read or has no column of images or classes, or a class is
            unknown.
    """
    settings = dataset.samples or Samples()
    own = definition.model_copy(update={"native": settings.native}) if settings.native else definition
    paths: list[str] = []
    words: list[str] = []
    places = container_files(root, settings.files, PARQUET)
    for place, file in zip(places, open_containers(root, places), strict=True):
        assert isinstance(file, ParquetImages)
        paths += _paths(file, place, settings)
        words += _words(file, settings) if dataset.labelled else [""] * file.rows
    labels, classes, notes = labels_of(words, own, dataset.labelled, str(root), "rows")
    rows = (ListedRow(path, label, (path,)) for path, label in zip(paths, labels, strict=True) if label is not None)
    return Listing(in_path_order(rows), classes, tuple(notes))


def _paths(file: ParquetImages, place: str, settings: Samples) -> list[str]:
    """The path of each image: in the file, or beside it where the rows have only paths."""
    columns = [name for name in [settings.image] if name in file.schema.names] if settings.image else file.image_columns
    if len(columns) != 1:
        raise DataError(
            f"{file.path}: expected {settings.image or 'one'} as the column of images, found the columns "
            f"{', '.join(file.schema.names)}. Say which: samples.image."
        )
    beside = file.paths_beside(columns[0])
    if beside is None:
        digits = len(str(file.rows))  # padded, so that the order of the paths is that of the rows
        return [f"{place}/{columns[0]}/{row:0{digits}}" for row in range(file.rows)]
    folder = PurePosixPath(place).parent
    return [(folder / path).as_posix() for path in beside]


def _words(file: ParquetImages, settings: Samples) -> Sequence[str]:
    """The class of each row in the file's own words; a ClassLabel has their names in its metadata."""
    column = settings.label or LABEL
    if column not in file.schema.names:
        raise DataError(
            f"{file.path}: expected the class in the column {column}, found the columns "
            f"{', '.join(file.schema.names)}. Say which (samples.label), or set labelled: false."
        )
    values = file.column(column)
    kind = file.features.get(column, {})
    names = kind.get("names") if kind.get("_type") == "ClassLabel" else None
    if names is None:
        return ["" if value is None else str(value) for value in values]
    _refuse_other_meaning(file.path, column, names, settings)
    if wrong := [value for value in values if value is not None and not -1 <= value < len(names)]:
        raise DataError(f"{file.path}: has the class {wrong[0]} in {column}, but only {len(names)} names of classes.")
    if any(value is None or value < 0 for value in values):
        raise DataError(
            f"{file.path}: has rows without a class in {column}, as published test sets have. "
            "Set labelled: false, or choose other files."
        )
    return [str(names[value]) for value in values]


def _refuse_other_meaning(file: Root, column: str, names: Sequence[str], settings: Samples) -> None:
    """A number must not mean one class in the file and another in `samples.native`."""
    for number, name in enumerate(names):
        meant = settings.native.get(str(number))
        if meant is not None and settings.native.get(name, name) != meant:
            raise DataError(
                f"{file}: in {column} the number {number} is called {name!r}, but samples.native says {meant!r}. "
                "Remove the numbers: the file names its classes."
            )
