"""Find the images below a root, in an order that does not depend on the file system."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Address, Root
from expclip_cache.datasets.file_names import SYSTEM_FOLDERS, is_image, is_video, suffix_of
from expclip_cache.datasets.folder_walk import walk


@dataclass
class Tree:
    """Everything below a root; paths are posix, relative to the root.

    Attributes:
        images: paths of images, sorted by their bytes. Links to files are followed. A broken link is listed too, so
            that decoding reports it.
        videos: paths of videos, likewise.
        leaves_without_images: folders with neither images, videos nor subfolders, sorted by their bytes.
        ignored: number of visible files that are neither, by suffix.
        system_folders: names of the folders of `SYSTEM_FOLDERS` that were passed over, and how many.
    """

    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    leaves_without_images: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    system_folders: Counter[str] = field(default_factory=Counter)

    def notes(self, videos: bool = False) -> list[str]:
        """Notes on the files and folders that were ignored, if any.

        Args:
            videos: whether videos are used.
        """
        notes = []
        if self.system_folders:
            names = ", ".join(f"{count} {name}" for name, count in sorted(self.system_folders.items()))
            notes.append(f"folders ignored because a file server or an operating system made them: {names}")
        ignored = self.ignored if videos else self.ignored + Counter(map(suffix_of, self.videos))
        if ignored:
            kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(ignored.items()))
            notes.append(f"files ignored because they are not images{' or videos' * videos}: {kinds}")
        return notes


def read_tree(root: Root) -> Tree:
    """Everything below a folder or an address.

    Hidden files and folders (with a leading dot) and `SYSTEM_FOLDERS` are skipped; links to folders are followed.

    Raises:
        DataError: `root` or a folder below it is missing or cannot be listed, or a link points to a folder above it.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    tree = Tree()
    if isinstance(root, Address):
        _fill(tree, files_at(root))
    else:
        walk(root, tree)
    tree.images.sort(key=os.fsencode)
    tree.videos.sort(key=os.fsencode)
    tree.leaves_without_images.sort(key=os.fsencode)
    return tree


def files_at(root: Address) -> list[str]:
    """Paths of all files below an address, relative to it.

    Raises:
        DataError: there is none.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    try:
        paths = root.files()
    except FileNotFoundError:
        paths = []
    if not paths:
        found = "a file: give the address of its folder" if root.is_file() else "nothing: check it for a typing error"
        raise DataError(f"{root}: expected files below this address, found {found}.")
    return paths


def _fill(tree: Tree, paths: Iterable[str]) -> None:
    """What a walk would find, from the paths of all files."""
    folders, with_images, passed_over = set[str](), set[str](), set[str]()
    for path in paths:
        folder, _, name = path.rpartition("/")
        parts = folder.split("/") if folder else []
        if any(part.startswith(".") for part in parts):
            continue
        system = next((place for place, part in enumerate(parts) if part.lower() in SYSTEM_FOLDERS), None)
        if system is not None:
            passed_over.add("/".join(parts[: system + 1]))
            parts = parts[:system]
        folders.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        if system is not None or name.startswith("."):
            continue
        if is_image(name):
            tree.images.append(path)
            with_images.add(folder)
        elif is_video(name):
            tree.videos.append(path)
            with_images.add(folder)
        else:
            tree.ignored[suffix_of(name)] += 1
    tree.system_folders.update(path.rpartition("/")[2] for path in passed_over)
    tree.leaves_without_images += folders - with_images - {folder.rpartition("/")[0] for folder in folders}
