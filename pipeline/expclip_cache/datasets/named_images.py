"""Images whose names hold their class, see `NamesForm`."""

import re
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.forms import NamesForm
from expclip_cache.datasets.labels import Labels
from expclip_cache.datasets.listing import UNLABELLED, ListedRow, Listing, examples, in_path_order
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import read_tree


def read_named_images(root: Path, form: NamesForm, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per image whose path matches the pattern.

    Raises:
        DataError: the folder cannot be read, no image matches, or a class is unknown.
    """
    tree = read_tree(root / form.below)
    matches = {path: re.search(form.pattern, path) for path in tree.images}
    words = {path: match["label"] for path, match in matches.items() if match}
    if not words:
        found = examples(tree.images) if tree.images else "no images"
        raise DataError(f"{root / form.below}: expected images named as {form.example}, found {found}. Check the root.")
    others = [path for path, match in matches.items() if not match]
    notes = [f"{len(others)} images with other names are ignored: {examples(others)}"] if others else []
    label_of = Labels(definition, dict.fromkeys(words.values()), str(root / form.below))
    labels = {path: label_of.label(word) if dataset.labelled else UNLABELLED for path, word in words.items()}
    if ignored := sum(label is None for label in labels.values()):
        notes.append(f"{ignored} images are ignored: their class is not among {', '.join(label_of.classes)}")
    prefix = "" if form.below == "." else f"{form.below}/"
    rows = (ListedRow(prefix + path, label, (prefix + path,)) for path, label in labels.items() if label is not None)
    classes = label_of.classes if dataset.labelled else ()
    return Listing(in_path_order(rows), classes, (*notes, *tree.notes()))
