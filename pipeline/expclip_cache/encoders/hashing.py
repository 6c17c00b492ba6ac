"""SHA-256 of an encoder's files, so that replaced weights are noticed before their features are mixed with others.

50 GB take a minute to hash even from memory, so the hash of a large file is remembered in the user's cache folder, for
all processes and later runs, as long as the file is the same by path, inode, size and time of its last change.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path

from expclip_cache.base import CacheError, EncoderError, sole_process, write_atomically

REMEMBERED_BYTES = 64 * 1024**2
"""Size from which a file's hash is remembered. Smaller ones are hashed in less time than a process needs to start."""


def digest(files: Sequence[Path]) -> str:
    """SHA-256 in hex: of a single file's bytes, or of the `<hash>  <name>` lines of several files, in the given order.

    For several files it is what `sha256sum <names> | sha256sum` prints in their folder.

    Raises:
        EncoderError: a file cannot be read.
    """
    if len(files) == 1:
        return _file_digest(files[0])
    lines = "".join(f"{_file_digest(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, whatever its name or the name of its target says."""
    try:
        target = file.resolve()
        status = target.stat()
        return _hash_of(target, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    except OSError as error:
        raise EncoderError(f"{file}: cannot be read ({error.strerror}).") from None


@lru_cache(maxsize=256)
def _hash_of(file: Path, version: tuple[int, ...]) -> str:
    """The remembered hash of this version of a file, or its hash; of several processes that ask at once, one reads."""
    _, _, size, _, _ = version
    if size < REMEMBERED_BYTES:
        return _read_and_hash(file)
    memory = _memory(file)
    if remembered := _remembered(memory, file, version):
        return remembered
    with ExitStack() as stack:
        # Without a place for a lock and a memory, every process reads.
        with suppress(OSError):
            stack.enter_context(sole_process(memory.with_suffix(".lock")))
        if remembered := _remembered(memory, file, version):
            return remembered
        found = _read_and_hash(file)
        with suppress(OSError, CacheError):
            record = {"file": os.fsdecode(file), "version": version, "sha256": found}
            write_atomically(memory, json.dumps(record).encode())
        return found


def _remembered(memory: Path, file: Path, version: tuple[int, ...]) -> str | None:
    """What was remembered of this version of the file."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        record = json.loads(memory.read_bytes())
        if record["file"] == os.fsdecode(file) and record["version"] == list(version):
            return str(record["sha256"])
    return None


def _read_and_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _memory(file: Path) -> Path:
    import platformdirs

    name = hashlib.sha256(os.fsencode(file)).hexdigest()[:32]
    return platformdirs.user_cache_path("expclip-cache") / "file-hashes" / f"{name}.json"
