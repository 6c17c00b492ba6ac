"""Hash the files of a dataset: to build its manifest, and to find files that have changed since."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set

import xxhash

from expclip_cache.base import CONCURRENT, DataError, FileAccessError, thread_map
from expclip_cache.datasets.address import Address, Root
from expclip_cache.datasets.appearance import Appearance, looks_different_in_a_viewer
from expclip_cache.datasets.contained import contained_blocks
from expclip_cache.datasets.listing import ListedRow, Listing, examples, listed_rows
from expclip_cache.datasets.manifest import Manifest, inconsistency, manifest_rows, with_contents
from expclip_cache.datasets.row_columns import RowColumns

OF_THE_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
"""Error numbers of a file that is not there or may not be read. All others are the machine's."""

AT_ONCE = 32
"""Rows that a thread takes at once: handing over each of them costs as much as reading a small image."""


def hash_listing(name: str, root: Root, listing: Listing, advance: Callable[[int], None] = lambda _: None) -> Manifest:
    """Read every file of a listing once and record its size and hash.

    A file that is missing or may not be read keeps its row, without a hash; the extraction decides whether that is an
    error.

    Args:
        advance: called with the number of rows after some of them.

    Raises:
        DataError: the listing is empty or inconsistent.
        FileAccessError: the disk, the network or the store fails, or too many files are open.
    """
    affected = set[str]()

    def look(name: str, start: bytes) -> None:
        if looks_different_in_a_viewer(start):
            affected.add(name)

    def look_at(rows: Sequence[ListedRow]) -> list[tuple[int, str | None]]:
        return [_size_and_hash(root, dict.fromkeys(row.files), look) for row in rows]

    parts = []
    # Of a store, neighbours are read at the same time, so that few row groups of Parquet files are in use.
    threads, at_once = (CONCURRENT, 1) if isinstance(root, Address) else (min(8, os.cpu_count() or 1), AT_ONCE)
    for part in listing.columns.parts:
        rows, contents = [*listed_rows(part)], []
        groups = (rows[start : start + at_once] for start in range(0, len(rows), at_once))
        for some in thread_map(look_at, groups, threads):
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
    manifest: Manifest, root: Root, rows: Iterable[int], advance: Callable[[int], None] = lambda _: None
) -> list[int]:
    """The ids among `rows` whose files differ from the sizes and hashes in the manifest.

    Raises:
        FileAccessError: the disk, the network or the store fails, or too many files are open.
    """

    def change(row_id: int) -> list[int]:
        row = manifest.rows[row_id]
        found = _size_and_hash(root, dict.fromkeys(row.files))
        return [] if found == (row.bytes, row.digest) else [row_id]

    changed = []
    for found in thread_map(change, rows, CONCURRENT if isinstance(root, Address) else 1):
        changed += found
        advance(1)
    return changed


def _size_and_hash(
    root: Root, files: Iterable[str], look: Callable[[str, bytes], None] = lambda *_: None
) -> tuple[int, str | None]:
    """(total bytes, XXH3-128 hex) of the files' concatenated contents; (0, None) if one cannot be read.

    Args:
        look: called with the name and the first bytes of each file, a megabyte at most.
    """
    content = RowContent()
    for name in files:
        try:
            blocks = _blocks(root, name)
            first = next(blocks, b"")
            look(name, first[: 1 << 20])
            content.add(first)
            for block in blocks:
                content.add(block)
        except OSError as error:
            if error.errno in OF_THE_FILE:
                return 0, None
            raise FileAccessError(
                f"{root / name}: cannot be read now ({error.strerror}), which says nothing about the file. "
                "Run the same command again when that is over."
            ) from None
    return content.bytes, content.digest


def _blocks(root: Root, name: str) -> Iterator[bytes]:
    """The content of a file, some megabytes at a time."""
    path = root / name
    inside = contained_blocks(root, name)
    if inside is not None:
        yield from inside
    elif isinstance(path, Address):
        yield from path.blocks()
    elif not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "is not a file")
    else:
        with path.open("rb", buffering=0) as file:
            # No larger than the file: making room for a megabyte takes longer than reading a small image.
            block_bytes = min(os.fstat(file.fileno()).st_size + 1, 1 << 20)
            while block := file.read(block_bytes):
                yield block
