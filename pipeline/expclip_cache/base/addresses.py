"""Addresses such as s3://bucket/faces: their file systems, by fsspec, and calls of them that are tried again."""

import errno
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from expclip_cache.base.errors import ExpclipError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

MIRROR_VARIABLE = "EXPCLIP_CACHE_MIRROR"
"""Environment variable that names the folder for what is kept on this machine of files at addresses."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Protocol -> our extra that installs its package."""

ATTEMPTS = 8
FIRST_WAIT = 0.2
"""Seconds before the second attempt, doubled for each further one, each shortened at random by up to half."""

CONCURRENT = 16
"""Requests of a process at once, where there are many."""

PERMANENT = (PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ImportError)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}
"""What another attempt would not change; the last are names of classes of botocore and google-auth. Every other error
of a store is retried: their packages raise errors of many kinds for the same trouble."""

_opened: dict[tuple[str, int], "tuple[AbstractFileSystem, str]"] = {}
_opening = threading.Lock()


def is_address(place: object) -> bool:
    """Whether a place is an address and not a path.

    >>> is_address("s3://bucket/faces"), is_address("data/faces")
    (True, False)
    """
    return isinstance(place, str) and "://" in place


def file_system_at(address: str, raised: type[ExpclipError]) -> "tuple[AbstractFileSystem, str]":
    """The file system of an address, one for all threads of a process, and the path in it.

    A forked process gets one of its own: connections cannot be shared.

    Args:
        raised: class of the error if the address cannot be used.
    """
    key = (address, os.getpid())
    if key not in _opened:
        with _opening:
            _opened[key] = _opened.get(key) or _open(address, raised)
    return _opened[key]


def _open(address: str, raised: type[ExpclipError]) -> "tuple[AbstractFileSystem, str]":
    from fsspec.core import url_to_fs

    protocol = address.partition("://")[0]
    try:
        filesystem, path = url_to_fs(address)
    except ImportError as error:
        how = f"pip install 'expclip-cache[{EXTRAS[protocol]}]'" if protocol in EXTRAS else str(error)
        raise raised(f"{address}: the package for {protocol}:// is not installed: {how}.") from None
    except ValueError as error:
        raise raised(f"{address}: is not an address that can be used ({error}).") from None
    return filesystem, path.rstrip("/")


class FailedCallError(Exception):
    """A call failed for good; the text says how often it was tried and how it failed."""


def tried(work: Callable[[], T], passed: tuple[type[Exception], ...]) -> T:
    """The result of `work`, retried while it fails.

    Args:
        passed: errors that are raised as they are, at once.

    Raises:
        FailedCallError: it failed permanently, or too often.
    """
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except passed:
            raise
        except Exception as error:  # noqa: BLE001 - see PERMANENT
            permanent = (
                isinstance(error, PERMANENT)
                or getattr(error, "errno", None) in DISK_FULL
                or type(error).__name__ in NO_CREDENTIALS
            )
            if permanent or attempt == ATTEMPTS - 1:
                times = "" if permanent else f"in {ATTEMPTS} attempts "
                raise FailedCallError(f"{times}({type(error).__name__}: {error})") from None
        time.sleep(FIRST_WAIT * 2**attempt * random.uniform(0.5, 1))
    raise AssertionError


def mirror_root() -> Path:
    """The folder for what is kept on this machine of files at addresses."""
    import platformdirs

    chosen = os.environ.get(MIRROR_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("expclip-cache")
