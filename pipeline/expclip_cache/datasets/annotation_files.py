"""One annotation file per image, see `AnnotationForm`: AffectNet's archive."""

from pathlib import Path, PurePosixPath

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.forms import AnnotationForm
from expclip_cache.datasets.labels import Labels
from expclip_cache.datasets.listing import UNLABELLED, ListedRow, Listing, in_path_order
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
    labels: dict[str, int | None] = dict.fromkeys(words, UNLABELLED)
    classes: tuple[str, ...] = ()
    if dataset.labelled:
        label_of = Labels(definition, dict.fromkeys(words.values()), str(root / form.annotations))
        classes, labels = label_of.classes, {name: label_of.label(word) for name, word in words.items()}
        if ignored := sum(label is None for label in labels.values()):
            notes.append(f"{ignored} images are ignored: their class is not among {', '.join(classes)}")
    paths = [(f"{form.images}/{name}", label) for name, label in labels.items() if label is not None]
    return Listing(in_path_order(ListedRow(path, label, (path,)) for path, label in paths), classes, tuple(notes))


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
