"""Hash the files of a dataset: to build its manifest, and to find files that have changed since."""

import errno
import os
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import xxhash

from expclip_cache.base import DataError, FileAccessError
from expclip_cache.datasets.appearance import Appearance, looks_different_in_a_viewer
from expclip_cache.datasets.contained import contained_file
from expclip_cache.datasets.listing import ListedRow, Listing, examples, listed_rows
from expclip_cache.datasets.manifest import Manifest, inconsistency, manifest_rows, with_contents
from expclip_cache.datasets.row_columns import RowColumns

OF_THE_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
"""Error numbers of a file that is not there or may not be read. All others are the machine's."""


AT_ONCE = 32
"""Rows that a thread takes at once: handing over each of them costs as much as reading a small image."""


def hash_listing(name: str, root: Path, listing: Listing, advance: Callable[[int], None] = lambda _: None) -> Manifest:
    """Read every file of a listing once and record its size and hash.

    A file that is missing or may not be read keeps its row, without a hash; the extraction decides whether that is an
    error.

    Args:
        advance: called with the number of rows after some of them.

    Raises:
        DataError: the listing is empty or inconsistent.
        FileAccessError: the disk or the network fails, or too many files are open.
    """
    affected = set[str]()

    def look(name: str, start: bytes) -> None:
        if looks_different_in_a_viewer(start):
            affected.add(name)

    def look_at(rows: Sequence[ListedRow]) -> list[tuple[int, str | None]]:
        return [_size_and_hash(root, dict.fromkeys(row.files), look) for row in rows]

    parts = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for part in listing.columns.parts:
            rows, contents = [*listed_rows(part)], []
            for some in pool.map(look_at, (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))):
                contents += some
                advance(len(some))
            parts.append(with_contents(part, contents))
    notes = (*listing.notes, *_notes_on_appearance(affected, listing.appearance))
    appearance = "viewed" if affected and listing.appearance == "viewed" else None
    columns = RowColumns(parts, len(listing.rows), manifest_rows)
    manifest = Manifest(name, listing.classes, columns, notes, listing.short_clip, appearance)
    if problem := inconsistency(manifest):
        raise DataError(f"{root}: {problem}.")
    return manifest


def _notes_on_appearance(files: Set[str], appearance: Appearance) -> list[str]:
    if not files:
        return []
    used = "as a viewer shows them" if appearance == "viewed" else "as they are stored"
    return [
        f"{len(files)} images are on their side, mirrored, with transparent parts or in 10 or 12 bits; used {used} "
        f"(appearance: {appearance}): {examples(sorted(files, key=os.fsencode))}"
    ]


class RowContent:
    """The content of a row's files, as its manifest describes it.

    Attributes:
        bytes: total size, in bytes.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._hash = xxhash.xxh3_128()

    def add(self, block: bytes) -> None:
        """Add the next bytes; files follow one another in the order of the row, each once."""
        self.bytes += len(block)
        self._hash.update(block)

    @property
    def digest(self) -> str:
        """XXH3-128 of everything added, hex."""
        return self._hash.hexdigest()


def changed_rows(
    manifest: Manifest, root: Path, rows: Iterable[int], advance: Callable[[int], None] = lambda _: None
) -> list[int]:
    """The ids among `rows` whose files differ from the sizes and hashes in the manifest.

    Raises:
        FileAccessError: the disk or the network fails, or too many files are open.
    """
    changed = []
    for row_id in rows:
        row = manifest.rows[row_id]
        if _size_and_hash(root, dict.fromkeys(row.files)) != (row.bytes, row.digest):
            changed.append(row_id)
        advance(1)
    return changed


def _size_and_hash(
    root: Path, files: Iterable[str], look: Callable[[str, bytes], None] = lambda *_: None
) -> tuple[int, str | None]:
    """(total bytes, XXH3-128 hex) of the files' concatenated contents; (0, None) if one cannot be read.

    Args:
        look: called with the name and the first bytes of each file, a megabyte at most.
    """
    content = RowContent()
    for name in files:
        path = root / name
        try:
            inside = contained_file(root, name)
            if inside is not None:
                look(name, inside[: 1 << 20])
                content.add(inside)
                continue
            if not path.is_file():
                return 0, None
            with path.open("rb", buffering=0) as file:
                # No larger than the file: making room for a megabyte takes longer than reading a small image.
                block_bytes = min(os.fstat(file.fileno()).st_size + 1, 1 << 20)
                block = file.read(block_bytes)
                look(name, block)
                while block:
                    content.add(block)
                    block = file.read(block_bytes)
        except OSError as error:
            if error.errno in OF_THE_FILE:
                return 0, None
            raise FileAccessError(
                f"{path}: cannot be read now ({error.strerror}), which says nothing about the file. "
                "Run the same command again when that is over."
            ) from None
    return content.bytes, content.digest
