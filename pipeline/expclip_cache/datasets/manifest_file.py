"""The file of a manifest: an Arrow file with one column for each attribute of a row.

It is mapped, so a process reads what it asks for: opening costs the header, and a row its part of 65,536 rows. The
header, in the schema's metadata, has a hash of each part, which is compared when the part is first used. Files of the
earlier format, JSON lines, are read as a whole.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, atomic_file, make_folder
from expclip_cache.datasets.manifest import Manifest, impossible_header, inconsistency, manifest_rows
from expclip_cache.datasets.manifest_header import FORMAT, MAGIC, metadata_of, no_manifest
from expclip_cache.datasets.manifest_json import parse_json_lines
from expclip_cache.datasets.manifest_lines import json_line
from expclip_cache.datasets.row_columns import RowColumns
from expclip_cache.datasets.stored_parts import StoredParts, part_hash


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the file atomically: it is complete or does not exist. The same rows give the same bytes.

    A manifest that was read from such a file is copied, without a look at its rows.

    Raises:
        DataError: there are no rows, a path is not one that a file can have, or the manifest comes from a file that is
            damaged or was replaced.
        OSError: the file cannot be written.
    """
    import pyarrow as pa

    if not manifest.rows:
        raise DataError(f"{path}: the dataset {manifest.name} has no rows, and a manifest needs at least one.")
    parts = manifest.columns.parts
    stored = parts if isinstance(parts, StoredParts) else None
    header = {
        "format": FORMAT,
        "name": manifest.name,
        "classes": manifest.classes,
        "notes": manifest.notes,
        "rows": len(manifest.rows),
        "frames": manifest.frames,
        "sha256": manifest.sha256,
        "parts": stored.hashes if stored else [part_hash(part) for part in parts],
        **manifest.reading,
    }
    text = json_line(header)
    make_folder(path.parent)
    with atomic_file(path) as temporary:
        if stored and stored.header_text == text:
            _copy(stored, temporary)
            return
        with temporary.open("xb") as file:
            with pa.ipc.new_file(file, parts[0].schema.with_metadata(metadata_of(text))) as writer:
                for part in parts:
                    # A slice would be written with what is around it.
                    writer.write_batch(part.take(pa.array(np.arange(len(part)))))
            file.flush()
            os.fsync(file.fileno())


def _copy(stored: StoredParts, temporary: Path) -> None:
    shutil.copyfile(stored.path, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    if StoredParts(temporary).header_text != stored.header_text:
        raise DataError(f"{stored.path}: was replaced while it was in use. Run the same command again.")


def read_manifest(path: Path) -> Manifest:
    """Open a manifest.

    Of an Arrow file the header is read. Its rows are mapped, and a part of them that does not match its hash, or has
    impossible rows, raises a DataError when it is first used.

    Raises:
        DataError: the file cannot be read or is not a manifest; or, of JSON lines, the rows do not match the hash in
            the header or are impossible.
    """
    if path.is_fifo():
        raise DataError(f"{path}: expected the file of a manifest, found a pipe, which cannot be mapped.")
    try:
        with path.open("rb") as file:
            is_arrow = file.read(len(MAGIC)) == MAGIC
        if not is_arrow:
            return parse_json_lines(path.read_bytes(), path)
    except OSError as error:
        raise DataError(
            f"{path}: the manifest cannot be read ({error.strerror}). Build it first, or correct the path."
        ) from None
    return _opened(path)


def check_manifest(manifest: Manifest, path: Path | str) -> None:
    """Read every row of a manifest, and compare all of it with its hash.

    Args:
        path: used in error messages.

    Raises:
        DataError: something is damaged or impossible.
    """
    # Without the hash that the file states.
    read = replace(manifest)
    if read.sha256 != manifest.sha256:
        raise DataError(f"{path}: the rows do not match the hash in the header. Delete the file and build it again.")
    if problem := inconsistency(read):
        raise DataError(f"{path}: {problem}. Fix the dataset and build the manifest again.")


def _opened(path: Path) -> Manifest:
    parts = StoredParts(path)
    header = parts.header
    try:
        manifest = Manifest(
            name=str(header["name"]),
            classes=tuple(header["classes"]),
            rows=RowColumns(parts, parts.rows, manifest_rows),
            notes=tuple(header["notes"]),
            short_clip=header.get("short_clip"),
            appearance=header.get("appearance"),
        )
        problem = impossible_header(manifest) if parts.rows else "there are no rows"
    except (KeyError, TypeError) as error:
        raise no_manifest(path, error) from None
    if problem:
        raise DataError(f"{path}: {problem}. Fix the dataset and build the manifest again.")
    # The property would read all rows to compute it; `check_manifest` does.
    vars(manifest)["sha256"] = str(header["sha256"])
    return manifest
