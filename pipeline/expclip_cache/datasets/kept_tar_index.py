"""The index of a tar at an address, which is kept on this machine once it has been read.

A tar has no table of contents: to find its members, its headers are read one after another, and where members are small
that means all of it. Every decoding process of every encoder needs the index, so one of them reads the tar and the
others take what it found.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from expclip_cache.base import (
    MIRROR_VARIABLE,
    AddressAccessError,
    CacheError,
    mirror_root,
    sealed_json,
    sole_process,
    write_atomically,
)
from expclip_cache.datasets.address import Address
from expclip_cache.datasets.tar_index import TarIndex

FORMAT = 2
"""Counts the changes of what is kept."""


def kept_tar_index(path: Address, version: str) -> TarIndex:
    """The index of a tar.

    Args:
        version: what the store says of the tar; another one has another index.

    Raises:
        DataError, OSError: see `TarIndex`.
        AddressAccessError: the store cannot be reached or refuses, or the index cannot be kept.
    """
    key = hashlib.sha256(f"{FORMAT} {path} {version}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    file = mirror_root() / "tars" / f"{key}.json"
    if (found := _kept(file)) is not None:
        return TarIndex.of(path, found)
    with _sole_reader(file):
        if (found := _kept(file)) is not None:
            return TarIndex.of(path, found)
        index = TarIndex(path)
        try:
            write_atomically(file, sealed_json(json.dumps(index.described()).encode("ascii")))
        except CacheError as error:
            raise _not_kept(file, str(error)) from None
    return index


@contextmanager
def _sole_reader(file: Path) -> Iterator[None]:
    """Others who need the index wait, instead of reading the tar as well."""
    lock = file.with_suffix(".lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(sole_process(lock))
        except OSError as error:
            raise _not_kept(file, str(error.strerror)) from None
        yield
        lock.unlink(missing_ok=True)


def _not_kept(file: Path, why: str) -> AddressAccessError:
    """Trouble of this machine, which says nothing about the images."""
    return AddressAccessError(
        f"{file.parent}: the places of the images in tars cannot be kept here ({why}). Name another folder in the "
        f"environment variable {MIRROR_VARIABLE}."
    )


def _kept(file: Path) -> dict[str, Any] | None:
    """What is kept in a file; None if there is none or any of its bytes has changed."""
    try:
        raw = file.read_bytes()
    except OSError:
        return None
    text = raw.rpartition(b',"xxh3_128":')[0] + b"}"
    return json.loads(text) if sealed_json(text) == raw else None
