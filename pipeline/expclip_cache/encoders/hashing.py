"""SHA-256 of an encoder's files, so that swapped weights are noticed before their features are mixed."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path


def digest(files: Sequence[Path]) -> str:
    """SHA-256, in hex: of the one file, or of the `<hash>  <name>` lines of several, in the order given.

    The second form is what `sha256sum <names> | sha256sum` prints inside their folder.
    """
    if len(files) == 1:
        return _file_digest(files[0])
    lines = "".join(f"{_file_digest(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes.

    A weights file in the Hugging Face cache is a link to a blob whose name already is its SHA-256. Believing
    that name saves reading 50 GB at every start.
    """
    target = file.resolve()
    if file.is_symlink() and target.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", target.name):
        return target.name
    status = target.stat()
    return _read_and_hash(target, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _read_and_hash(file: Path, size: int, mtime_ns: int) -> str:
    """Hash once per process and state of the file, which `size` and `mtime_ns` stand for."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
