"""Files that are there whole or not at all."""

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from expclip_cache.base.errors import CacheError


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Write the parts, one after the other, to `path` in one durable step.

    The bytes are on the disk before the file gets its name, and the name is before this returns: a crash at any
    moment leaves the old file or the new one. The temporary name starts with a dot and ends in `.tmp`.

    Raises:
        CacheError: the disk is full, the folder cannot be written to, or a limit is reached; nothing is left behind.
    """
    with appearing(path) as temporary, temporary.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary name to fill with all of a file, bytes on the disk included; it becomes `path` as the block ends.

    Raises:
        CacheError: as `write_atomically`; if the block raises, nothing appears and nothing is left behind.
    """
    # Machines that share a folder may share a process id as well.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            yield temporary
            os.replace(temporary, path)  # noqa: PTH105 - the call the fault tests break off at
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(
            f"{path.parent}: {path.name} cannot be written ({error.strerror}). Free some space or choose another "
            "folder, then run the same command again: what was finished is kept."
        ) from None


def remove_temporaries(folder: Path, names: Collection[str] | None) -> None:
    """Delete what killed runs left behind while writing these files (None: any), which nobody may be writing now."""
    for left in folder.glob(".*.tmp"):
        if names is None or target_of(left.name) in names:
            left.unlink(missing_ok=True)


def target_of(temporary: str) -> str:
    """The name of the file that a temporary name was to become; names have one dot.

    >>> target_of(".shard-00003.h5.77.1a2b3c4d.tmp")
    'shard-00003.h5'
    """
    return ".".join(temporary[1:].split(".")[:2])


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
