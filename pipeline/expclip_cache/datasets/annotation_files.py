"""One annotation file per image, see `AnnotationForm`: AffectNet's archive."""

from pathlib import Path, PurePosixPath

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.forms import AnnotationForm
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, in_path_order
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import frame_names

MAX_BYTES = 4096
"""Of an annotation: an array without dimensions, and its header."""


def read_annotation_files(
    root: Path, form: AnnotationForm, definition: Definition, dataset: DatasetSettings
) -> Listing:
    """One row per image that has an annotation.

    Raises:
        DataError: there are no images, an annotation cannot be read, or most images have none.
    """
    names = frame_names(root / form.images)
    if not names:
        raise DataError(f"{root / form.images}: expected the images of {definition.title}, found none.")
    words: dict[str, str] = {}
    for name in names:
        file = root / form.annotations / f"{PurePosixPath(name).stem}{form.suffix}"
        if file.exists():
            words[name] = _word(file)
    if 2 * len(words) < len(names):
        raise DataError(
            f"{root / form.annotations}: expected a file <image>{form.suffix} for each of {len(names)} images, found "
            f"{len(words)}. Unpack the annotations, or correct the root."
        )
    notes = [f"{len(names) - len(words)} images have no annotation and are ignored"] if len(words) < len(names) else []
    where = str(root / form.annotations)
    labels, classes, ignored = labels_of(list(words.values()), definition, dataset.labelled, where, "images")
    paths = [(f"{form.images}/{name}", label) for name, label in zip(words, labels, strict=True) if label is not None]
    rows = in_path_order(ListedRow(path, label, (path,)) for path, label in paths)
    return Listing(rows, classes, (*notes, *ignored))


def _word(file: Path) -> str:
    """The one number or text in a NumPy file; nothing in it is executed."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"{file.stat().st_size} bytes")
        value = np.load(file, allow_pickle=False)
        if not isinstance(value, np.ndarray) or value.size != 1:
            raise ValueError("not a single value")
        word = str(value.item())
        return word.removesuffix(".0")
    except (OSError, ValueError, EOFError, UnicodeError) as error:
        raise DataError(f"{file}: expected a NumPy file with one number or text ({error}).") from None
