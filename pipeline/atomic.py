"""Files that are there whole or not at all."""

import os
import secrets
from pathlib import Path

from pipeline.errors import CacheError


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Write the parts, one after the other, to `path` in one durable step.

    The bytes are on the disk before the file gets its name, and the name is before this returns: a crash at any
    moment leaves the old file or the new one. The temporary name starts with a dot and ends in `.tmp`.

    Raises:
        CacheError: the disk is full, the folder cannot be written to, or a limit is reached; nothing is left behind.
    """
    # Machines that share a folder may share a process id as well.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 - the call the fault tests break off at
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(
            f"{path.parent}: {path.name} cannot be written ({error.strerror}). Free some space or choose another "
            "folder, then run the same command again: what was finished is kept."
        ) from None


def remove_temporaries(path: Path) -> None:
    """Delete what killed runs left behind while writing `path`, which nobody else may be writing now."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
