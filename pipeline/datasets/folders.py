"""Layouts image-folders (<class>/**/<image>) and frame-folders (<class>/**/<clip>/<frame>).

The folders directly below the root name the classes; below them the tree may be as deep as it likes. Without
labels any tree will do, a flat one included.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.datasets.clips import Clip, clip_rows
from pipeline.datasets.definition import Definition
from pipeline.datasets.labels import Labels
from pipeline.datasets.listing import UNLABELLED, Listing, Row, some
from pipeline.datasets.tree import Tree, read_tree
from pipeline.errors import DataError
from pipeline.params import DatasetParams


def read_image_folders(root: Path, definition: Definition, params: DatasetParams) -> Listing:
    """One row for each image.

    Raises:
        DataError: the root cannot be walked or holds no image where one belongs, or the name of a class
            folder means nothing.
    """
    tree = read_tree(root)
    labels, classes, notes = _labelled(root, definition, params, tree.images)
    if not labels:
        raise DataError(_nothing(root, tree, "<class>/<image>" if params.labelled else "images"))
    rows = tuple(Row(path, label, (path,)) for path, label in labels.items())
    return Listing(rows, classes, (*notes, *tree.notes()))


def read_frame_folders(root: Path, definition: Definition, params: DatasetParams) -> Listing:
    """One row for each folder that holds frames.

    Raises:
        DataError: as for `read_image_folders`.
    """
    tree = read_tree(root)
    frames: dict[str, list[str]] = {path: [] for path in tree.bare}
    for image in tree.images:
        folder, _, name = image.rpartition("/")
        frames.setdefault(folder, []).append(name)
    loose = frames.pop("", [])
    labels, classes, notes = _labelled(root, definition, params, frames)
    if loose:
        notes.append(f"{len(loose)} images lie beside the folders and are ignored: {some(loose)}")
    clips = [Clip(path, label, frames[path]) for path, label in labels.items()]
    if not clips:
        raise DataError(_nothing(root, tree, "<class>/<clip>/<frame>" if params.labelled else "<clip>/<frame>"))
    rows, clip_notes = clip_rows(root, clips, params)
    return Listing(rows, classes, (*notes, *clip_notes, *tree.notes()))


def _labelled(
    root: Path, definition: Definition, params: DatasetParams, paths: Iterable[str]
) -> tuple[dict[str, int], tuple[str, ...], list[str]]:
    """(path -> label, classes, notes) of items that lie in class folders, in the paths' order."""
    if not params.labelled:
        return dict.fromkeys(paths, UNLABELLED), (), []
    word_of = {path: path.split("/", 1)[0] for path in paths if "/" in path}
    beside = [path for path in paths if "/" not in path]
    labels = Labels(definition, dict.fromkeys(word_of.values()), str(root))
    found = {path: labels.label(word) for path, word in word_of.items()}
    others = Counter(word_of[path] for path, label in found.items() if label is None)
    notes = [
        f"{count} items in {word!r} are ignored: not among the classes {', '.join(labels.classes)}"
        for word, count in others.items()
    ]
    if beside:
        notes.append(f"{len(beside)} items lie beside the class folders and are ignored: {some(beside)}")
    return {path: label for path, label in found.items() if label is not None}, labels.classes, notes


def _nothing(root: Path, tree: Tree, expected: str) -> str:
    found = f"{len(tree.images)} images elsewhere, such as {some(tree.images)}" if tree.images else "no image at all"
    return (
        f"{root}: expected {expected}, found {found}{''.join(f'; {note}' for note in tree.notes())}. "
        "Check the root and the layout."
    )
