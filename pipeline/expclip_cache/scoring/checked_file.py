"""A JSON file that ends with its own checksum."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import xxhash

from expclip_cache.base import DataError, make_folder, write_atomically
from expclip_cache.cache import Json

Content = TypeVar("Content")

_CHECKSUM = ',\n"xxh3_128": "{}"}}\n'
"""The end of the file."""


def write_checked(path: Path, text: str) -> None:
    """Write the text of a JSON object atomically, with its checksum as the last entry."""
    make_folder(path.parent)
    write_atomically(path, _with_checksum(text))


def read_checked(path: Path, to_text: Callable[[Json], str], from_json: Callable[[Json], Content]) -> Content:
    """Read what `write_checked` wrote.

    Args:
        to_text: of an object, as it was written.
        from_json: the content of the object; may raise ValueError, KeyError, TypeError or AttributeError.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        raw = path.read_bytes()
        tree = json.loads(raw)
        tree.pop("xxh3_128")
        intact = _with_checksum(to_text(tree)) == raw
        found = from_json(tree) if intact else None
    except OSError as error:
        raise DataError(f"{path}: the scores cannot be read ({error.strerror}). Run `dvc repro scores`.") from None
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DataError(f"{path}: is not a file of scores ({error!r}). Delete it and run `dvc repro scores`.") from None
    if found is None:
        raise DataError(f"{path}: does not match its own checksum. Delete it and run `dvc repro scores`.")
    return found


def checksum_of(text: str) -> str:
    """What a file with this text has as its checksum."""
    return xxhash.xxh3_128_hexdigest(text.encode())


def _with_checksum(text: str) -> bytes:
    return (text[:-1] + _CHECKSUM.format(checksum_of(text))).encode()
