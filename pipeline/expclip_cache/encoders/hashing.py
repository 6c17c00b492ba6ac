"""SHA-256 of an encoder's files, so that replaced weights are noticed before their features are mixed with others."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path


def digest(files: Sequence[Path]) -> str:
    """SHA-256 in hex: of a single file's bytes, or of the `<hash>  <name>` lines of several files, in the given order.

    For several files it is what `sha256sum <names> | sha256sum` prints in their folder.
    """
    if len(files) == 1:
        return _file_digest(files[0])
    lines = "".join(f"{_file_digest(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes.

    A weights file in the Hugging Face cache is a link to a blob that is named by its SHA-256. Trusting that name saves
    reading 50 GB on every start.
    """
    target = file.resolve()
    if file.is_symlink() and target.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", target.name):
        return target.name
    status = target.stat()
    return _read_and_hash(target, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _read_and_hash(file: Path, size: int, mtime_ns: int) -> str:
    """Hash a file once per process, and again if its size or modification time changes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
