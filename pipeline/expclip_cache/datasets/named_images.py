"""Images whose names hold their class, see `NamesForm`."""

import re
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.file_names import last_of_each_folder
from expclip_cache.datasets.forms import NamesForm
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, examples, in_path_order
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
    notes = []
    if form.last is not None:
        of_folders = last_of_each_folder(words, form.last).values()
        words = {path: words[path] for paths in of_folders for path in paths}
        notes.append(f"{len(words)} of {len(matches)} images are items: the last {form.last} of each folder")
    if not words:
        found = examples(tree.images) if tree.images else "no images"
        raise DataError(f"{root / form.below}: expected images named as {form.example}, found {found}. Check the root.")
    others = [path for path, match in matches.items() if not match]
    if others:
        notes.append(f"{len(others)} images with other names are ignored: {examples(others)}")
    labels, classes, ignored = labels_of(
        list(words.values()), definition, dataset.labelled, str(root / form.below), "images"
    )
    prefix = "" if form.below == "." else f"{form.below}/"
    paths = [(prefix + path, label) for path, label in zip(words, labels, strict=True) if label is not None]
    rows = in_path_order(ListedRow(path, label, (path,)) for path, label in paths)
    return Listing(rows, classes, (*notes, *ignored, *tree.notes()))
