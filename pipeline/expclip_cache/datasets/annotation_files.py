"""One annotation file per image or per sequence, see `AnnotationForm`: AffectNet's archives, CK+."""

import json
import tokenize
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.file_names import last_of_each_folder
from expclip_cache.datasets.forms import AnnotationForm
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, examples, in_path_order
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import read_tree

MAX_BYTES = 1 << 20
"""Of an annotation; AffectNet+'s have a few thousand."""

_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RecursionError, MemoryError),
    *(zipfile.BadZipFile, tokenize.TokenError, SyntaxError),
)
"""What NumPy and the JSON parser raise for files that are no annotations."""


def read_annotation_files(
    root: Path, form: AnnotationForm, definition: Definition, dataset: DatasetSettings
) -> Listing:
    """One row per image that has an annotation.

    Raises:
        DataError: there are no images, an annotation cannot be read, or most images (with `last`: annotations) have
            no counterpart.
    """
    images = read_tree(root / form.images).images
    if not images:
        raise DataError(f"{root / form.images}: expected the images of {definition.title}, found none.")
    words, notes = (_by_image if form.last is None else _by_sequence)(root, form, images)
    where = str(root / form.annotations)
    labels, classes, ignored = labels_of(list(words.values()), definition, dataset.labelled, where, "images")
    paths = [(f"{form.images}/{name}", label) for name, label in zip(words, labels, strict=True) if label is not None]
    rows = in_path_order(ListedRow(path, label, (path,)) for path, label in paths)
    return Listing(rows, classes, (*notes, *ignored))


def _by_image(root: Path, form: AnnotationForm, images: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Image -> the word in the annotation of its name; and notes."""
    words: dict[str, str] = {}
    for name in images:
        file = root / form.annotations / f"{PurePosixPath(name).with_suffix('')}{form.suffix}"
        if file.exists():
            words[name] = _word(file, form)
    without = len(images) - len(words)
    if 2 * len(words) < len(images):
        raise DataError(
            f"{root / form.annotations}: expected a file <image>{form.suffix} for each of {len(images)} images, found "
            f"{len(words)}. Unpack the annotations, or correct the root."
        )
    return words, [f"{without} images have no annotation and are ignored"] if without else []


def _by_sequence(root: Path, form: AnnotationForm, images: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Each of the last images of the folders that have an annotation -> the word in it; and notes."""
    assert form.last is not None
    last = last_of_each_folder(images, form.last)
    folders = set()
    annotations = root / form.annotations
    files = [file for file in annotations.rglob("*") if file.name.endswith(form.suffix) and file.name[0] != "."]
    words: dict[str, str] = {}
    missing = []
    for file in sorted(files):
        folder = file.parent.relative_to(annotations).as_posix()
        if folder not in last:
            missing.append(folder)
        if folder in folders:
            raise DataError(f"{file.parent}: expected one file with the class, found several.")
        folders.add(folder)
        for name in last.get(folder, []):
            words[name] = _word(file, form)
    if 2 * len(missing) >= len(files):
        raise DataError(
            f"{root / form.images}: expected images for each of {len(files)} annotations in {form.annotations}, found "
            f"none for {examples(missing) or 'any, because there are no annotations'}. Unpack the archives, or correct "
            "the root."
        )
    notes = [f"{len(words)} of {len(images)} images are items: the last {form.last} of each folder with an annotation"]
    if without := sorted(last.keys() - folders):
        notes.append(f"{len(without)} folders of images have no annotation and are ignored: {examples(without)}")
    if missing:
        notes.append(f"{len(missing)} annotations have no images: {examples(missing)}")
    return words, notes


def _word(file: Path, form: AnnotationForm) -> str:
    """The class in an annotation, as text; nothing in the file is executed."""
    try:
        if (size := file.stat().st_size) > MAX_BYTES:
            raise ValueError(f"{size} bytes")
        if form.suffix.endswith(".npy"):
            value = np.load(file, allow_pickle=False)
            if not isinstance(value, np.ndarray) or value.size != 1:
                raise ValueError("not a single value")
            value = value.item()
        elif form.suffix.endswith(".json"):
            value = json.loads(file.read_bytes())[form.field]
            if not isinstance(value, str | int | float):
                raise ValueError(f"{form.field} is neither a number nor a text")
        else:
            (value,) = file.read_text(encoding="utf-8").split()
        return _as_word(value)
    except _UNREADABLE as error:
        expected = {"npy": "a NumPy file with one number or text", "json": f"JSON with the class as {form.field!r}"}
        raise DataError(
            f"{file}: expected {expected.get(form.suffix.rpartition('.')[2], 'one number or word')} ({error!r})."
        ) from None


def _as_word(value: object) -> str:
    """A number as digits; CK+ writes them as `3.0000000e+00`.

    >>> _as_word("3.0000000e+00"), _as_word(3), _as_word("3"), _as_word("happy")
    ('3', '3', '3', 'happy')
    """
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text
