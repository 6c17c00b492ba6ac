"""Layouts image-folders (<class>/**/<image>) and frame-folders (<class>/**/<clip>/<frame> or <class>/**/<video>).

The folders directly below the root name the classes; below them the tree may have any depth. Unlabelled datasets may
have any tree, including a flat folder.
"""

from collections import Counter
from collections.abc import Iterable

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.clips import Clip, clip_rows
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.file_names import by_number
from expclip_cache.datasets.labels import Labels
from expclip_cache.datasets.listing import UNLABELLED, ListedRow, Listing, examples, in_path_order
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import Tree, read_tree

INSIDE = {".tar": "webdataset", ".parquet": "parquet"}
"""Layouts of images inside other files."""


def read_image_folders(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per image.

    Raises:
        DataError: the root cannot be read or has no images where the layout expects them, or a class folder has an
            unknown name.
    """
    tree = read_tree(root)
    depth = 1 if dataset.labelled else 0
    paths = [path for path in tree.images if path.count("/") >= depth]
    if not paths:
        raise DataError(_no_images(root, tree, "<class>/<image>" if dataset.labelled else "images"))
    labels, classes, notes = _labels_by_folder(root, definition, dataset, paths)
    rows = in_path_order(ListedRow(path, label, (path,)) for path, label in labels.items())
    return Listing(rows, classes, (*notes, *_outside(tree, depth, "class folders"), *tree.notes()))


def read_frame_folders(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per folder that holds frames, and per video.

    A video beside a folder of its name is passed over: its frames have been extracted.

    Raises:
        DataError: as for `read_image_folders`, or no clip has any frames.
    """
    tree = read_tree(root)
    depth = 2 if dataset.labelled else 1
    frames: dict[str, list[str]] = {}
    for image in tree.images:
        if image.count("/") >= depth:
            folder, _, name = image.rpartition("/")
            frames.setdefault(folder, []).append(name)
    # A folder beside the frames of a clip is not another clip.
    for path in tree.leaves_without_images:
        if path.count("/") >= depth - 1 and path.rpartition("/")[0] not in frames:
            frames[path] = []
    notes = []
    videos = [path for path in tree.videos if path.count("/") >= depth - 1]
    extracted = [path for path in videos if path.rpartition(".")[0] in frames]
    if extracted:
        notes.append(
            f"{len(extracted)} videos are beside folders with their frames and are ignored: {examples(extracted)}"
        )
    clip_paths = [*frames, *(path for path in videos if path.rpartition(".")[0] not in frames)]
    if not clip_paths:
        expected = "<class>/<clip>/<frame> or videos" if dataset.labelled else "<clip>/<frame> or videos"
        raise DataError(_no_images(root, tree, expected))
    labels, classes, ignored = _labels_by_folder(root, definition, dataset, clip_paths)
    clips = [
        Clip(path, label, sorted(frames[path], key=by_number) if path in frames else None)
        for path, label in labels.items()
    ]
    rows, clip_notes = clip_rows(root, clips, dataset)
    outside = _outside(tree, depth, "clip folders")
    return Listing(rows, classes, (*notes, *ignored, *clip_notes, *outside, *tree.notes(videos=True)))


def _labels_by_folder(
    root: Root, definition: Definition, dataset: DatasetSettings, paths: Iterable[str]
) -> tuple[dict[str, int], tuple[str, ...], list[str]]:
    """(path -> label, classes, notes); the first component of a path names its class.

    Raises:
        DataError: a class folder has an unknown name, or there is no folder for any of the classes.
    """
    if not dataset.labelled:
        return dict.fromkeys(paths, UNLABELLED), (), []
    word_of = {path: path.split("/", 1)[0] for path in paths}
    label_of = Labels(definition, dict.fromkeys(word_of.values()), str(root))
    found = {path: label_of.label(word) for path, word in word_of.items()}
    ignored = Counter(word_of[path] for path, label in found.items() if label is None)
    notes = [
        f"{count} items in {word!r} are ignored: not among the classes {', '.join(label_of.classes)}"
        for word, count in ignored.items()
    ]
    labels = {path: label for path, label in found.items() if label is not None}
    if not labels:
        raise DataError(
            f"{root}: expected folders of the classes {', '.join(label_of.classes)}, found only {examples(ignored)}. "
            "Check the root and the classes."
        )
    return labels, label_of.classes, notes


def _outside(tree: Tree, depth: int, folders: str) -> list[str]:
    """A note on images that are not deep enough in the tree to belong to a class or clip."""
    outside = [path for path in tree.images if path.count("/") < depth]
    return [f"{len(outside)} images outside the {folders} are ignored: {examples(outside)}"] if outside else []


def _no_images(root: Root, tree: Tree, expected: str) -> str:
    found = f"{len(tree.images)} images elsewhere, such as {examples(tree.images)}" if tree.images else "no images"
    inside = [f"{layout} reads {suffix} files" for suffix, layout in INSIDE.items() if tree.ignored[suffix]]
    others = f" ({', '.join(inside)})" if inside else ""
    return (
        f"{root}: expected {expected}, found {found}{''.join(f'; {note}' for note in tree.notes())}. "
        f"Check the root and the layout{others}."
    )
