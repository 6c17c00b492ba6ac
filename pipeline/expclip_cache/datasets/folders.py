"""Layouts image-folders (<class>/**/<image>) and frame-folders (<class>/**/<clip>/<frame>).

The folders directly below the root name the classes; below them the tree may be as deep as it likes. Without
labels any tree will do, a flat one included.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.clips import Clip, clip_rows
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.labels import Labels
from expclip_cache.datasets.listing import UNLABELLED, Listing, Row, some
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import Tree, read_tree


def read_image_folders(root: Path, definition: Definition, params: DatasetSettings) -> Listing:
    """One row for each image.

    Raises:
        DataError: the root cannot be walked or holds no image where one belongs, or the name of a class
            folder means nothing.
    """
    tree = read_tree(root)
    depth = 1 if params.labelled else 0
    inside = [path for path in tree.images if path.count("/") >= depth]
    if not inside:
        raise DataError(_nothing(root, tree, "<class>/<image>" if params.labelled else "images"))
    labels, classes, notes = _labelled(root, definition, params, inside)
    rows = tuple(Row(path, label, (path,)) for path, label in labels.items())
    return Listing(rows, classes, (*notes, *_outside(tree, depth, "class folders"), *tree.notes()))


def read_frame_folders(root: Path, definition: Definition, params: DatasetSettings) -> Listing:
    """One row for each folder that holds frames.

    Raises:
        DataError: as for `read_image_folders`, or no clip has a frame.
    """
    tree = read_tree(root)
    depth = 2 if params.labelled else 1
    frames: dict[str, list[str]] = {path: [] for path in tree.bare if path.count("/") >= depth - 1}
    for image in tree.images:
        if image.count("/") >= depth:
            folder, _, name = image.rpartition("/")
            frames.setdefault(folder, []).append(name)
    if not frames:
        raise DataError(_nothing(root, tree, "<class>/<clip>/<frame>" if params.labelled else "<clip>/<frame>"))
    labels, classes, notes = _labelled(root, definition, params, frames)
    rows, clip_notes = clip_rows(root, [Clip(path, label, frames[path]) for path, label in labels.items()], params)
    return Listing(rows, classes, (*notes, *clip_notes, *_outside(tree, depth, "clip folders"), *tree.notes()))


def _labelled(
    root: Path, definition: Definition, params: DatasetSettings, paths: Iterable[str]
) -> tuple[dict[str, int], tuple[str, ...], list[str]]:
    """(path -> label, classes, notes); the first part of a path names its class.

    Raises:
        DataError: a class folder has a name that means nothing, or none of the classes wanted is there.
    """
    if not params.labelled:
        return dict.fromkeys(paths, UNLABELLED), (), []
    word_of = {path: path.split("/", 1)[0] for path in paths}
    labels = Labels(definition, dict.fromkeys(word_of.values()), str(root))
    found = {path: labels.label(word) for path, word in word_of.items()}
    others = Counter(word_of[path] for path, label in found.items() if label is None)
    notes = [
        f"{count} items in {word!r} are ignored: not among the classes {', '.join(labels.classes)}"
        for word, count in others.items()
    ]
    chosen = {path: label for path, label in found.items() if label is not None}
    if not chosen:
        raise DataError(f"{root}: expected folders of {', '.join(labels.classes)}, found only {some(others)}.")
    return chosen, labels.classes, notes


def _outside(tree: Tree, depth: int, place: str) -> list[str]:
    """A note on images too high up in the tree to belong to anything."""
    high = [path for path in tree.images if path.count("/") < depth]
    return [f"{len(high)} images lie outside the {place} and are ignored: {some(high)}"] if high else []


def _nothing(root: Path, tree: Tree, expected: str) -> str:
    found = f"{len(tree.images)} images elsewhere, such as {some(tree.images)}" if tree.images else "no image at all"
    return (
        f"{root}: expected {expected}, found {found}{''.join(f'; {note}' for note in tree.notes())}. "
        "Check the root and the layout."
    )
