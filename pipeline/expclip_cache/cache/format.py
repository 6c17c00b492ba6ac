"""The format of a feature cache: the names, types and rules that writer and reader share.

A cache is a folder: `shard-00000.h5`, `shard-00001.h5`, ... and `index.json`, written last. Shard k holds the rows of
one manifest from k * shard_rows on, without gaps: a row whose input could not be read has NaN features and its reason
in `error`, so positions never shift. See docs/cache-format.md.
"""

import errno
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from expclip_cache.base import CacheAccessError, CacheError, SettingsError

FORMAT = "expclip-cache shard"
VERSION = 1

NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EISDIR}
"""Error numbers of what is no file. All others are the machine's, and say nothing about a file's bytes."""
INDEX = "index.json"
MANIFEST = "manifest.arrow"
"""The copy of the manifest beside the shards; a cache of texts has none."""
OLD_MANIFEST = "manifest.jsonl"
"""Its name in caches of earlier versions."""
CONDITIONING = "conditioning.safetensors"
"""Beside the shards of prompts whose texts are conditioned by the items they are compared with: the weights that do."""

Json = Any
"""A value that JSON can hold."""


@dataclass(frozen=True)
class Identity:
    """What the numbers in a cache depend on.

    Attributes:
        settings: everything that was requested and changes a number (model, preprocess, instruction, dtype, manifest
            hash, code versions ...), known without loading anything.
        encoder: what is known only once the encoder is loaded (hash of the weights, width, image size, logit scale).
    """

    settings: Mapping[str, Json]
    encoder: Mapping[str, Json]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of both parts, hex."""
        both = {"settings": dict(self.settings), "encoder": dict(self.encoder)}
        return json_sha256(both)


@dataclass(frozen=True)
class Block:
    """The content of one shard in memory: n rows, w wide.

    Attributes:
        number: of the shard.
        first_row: id of its first row; the others follow without gaps.
        features: (n, w) float16 or float32, raw, not L2-normalised; NaN where `errors` has a reason.
        labels: (n,) int32, -1 where there is none.
        paths: n file system encoded names, or prompt texts.
        errors: n reasons, empty where the row is good.
    """

    number: int
    first_row: int
    features: np.ndarray
    labels: np.ndarray
    paths: tuple[bytes, ...]
    errors: tuple[bytes, ...]

    def arrays(self) -> dict[str, np.ndarray]:
        """The shard's datasets by name, in the order in which they are written and hashed."""
        rows = np.arange(self.first_row, self.first_row + len(self.features), dtype=np.int64)
        return {
            "features": self.features.astype(self.features.dtype.newbyteorder("<"), copy=False),
            "row": rows.astype("<i8", copy=False),
            "label": self.labels.astype("<i4", copy=False),
            "path": _fixed_width(self.paths),
            "error": _fixed_width(self.errors),
        }


DATASETS = ("features", "row", "label", "path", "error")
FEATURE_TYPES = ("float16", "float32")


def shard_name(number: int) -> str:
    """File name of shard `number`."""
    return f"shard-{number:05d}.h5"


def plan_shards(rows: int, shard_rows: int) -> tuple[range, ...]:
    """The rows of each shard: consecutive, every row exactly once, all shards full but the last.

    >>> plan_shards(5, 2)
    (range(0, 2), range(2, 4), range(4, 5))
    """
    return tuple(range(start, min(start + shard_rows, rows)) for start in range(0, rows, shard_rows))


def parse_part(text: str) -> range:
    """The numbers of the shards that a text such as `0:8` names.

    >>> parse_part("0:8")
    range(0, 8)

    Raises:
        SettingsError: the text is not `first:end`, or names no shard.
    """
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text, re.ASCII)
    part = range(int(found[1]), int(found[2])) if found else range(0)
    if not part:
        raise SettingsError(f"--shards: expected first:end, such as 0:8 for shards 0 to 7, found {text!r}.")
    return part


def json_sha256(value: Json) -> str:
    """SHA-256 over the canonical JSON of a value, hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: Json) -> bytes:
    """The one byte string that stands for a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def inconsistent_row(rows: range, features: np.ndarray, errors: Sequence[bytes] | np.ndarray) -> int | None:
    """The first row that does not have exactly one of finite features and an error; None if there is none."""
    for start in range(0, len(rows), 4096):
        part = slice(start, start + 4096)
        finite = np.isfinite(features[part]).all(axis=1)
        wrong = np.flatnonzero(finite != np.array([not error for error in errors[part]]))
        if wrong.size:
            return rows.start + start + int(wrong[0])
    return None


def identity_differences(
    cached: Identity, requested: Identity, words: tuple[str, str] = ("cached", "requested")
) -> list[str]:
    """One phrase for each setting and fact in which two identities differ, see `differences`."""
    settings = differences(cached.settings, requested.settings, words)
    return settings + differences(cached.encoder, requested.encoder, words)


def differences(
    cached: Mapping[str, Json], requested: Mapping[str, Json], words: tuple[str, str] = ("cached", "requested")
) -> list[str]:
    """One phrase for each setting in which two mappings differ; `words` names the two.

    `revision`, which early caches recorded, is not compared with one that has none: the hashes of the files count.
    """
    missing = "(not set)"
    skipped = set() if "revision" in cached and "revision" in requested else {"revision"}
    return [
        f"{key} differs: {words[0]} {cached.get(key, missing)!r}, {words[1]} {requested.get(key, missing)!r}"
        for key in sorted((cached.keys() | requested.keys()) - skipped)
        if cached.get(key, missing) != requested.get(key, missing)
    ]


def _fixed_width(values: tuple[bytes, ...]) -> np.ndarray:
    """(n,) fixed-width byte strings: contiguous on disk, readable by every HDF5 tool, no heap."""
    for value in values:
        if b"\0" in value:
            raise CacheError(f"{value!r} contains a NUL byte, which a fixed-width string cannot hold.")
    width = max((len(value) for value in values), default=0)
    return np.array(values, dtype=f"S{max(width, 1)}")


def unreadable(path: object, error: OSError) -> CacheError:
    """The error for a file that cannot be read: a `CacheAccessError` unless there is no such file at all."""
    if error.errno in NO_FILE:
        return CacheError(f"{path}: cannot be read ({error.strerror}).")
    return CacheAccessError(
        f"{path}: cannot be read now ({error.strerror}), which says nothing about its content. Nothing was changed. "
        "Make it readable, or delete it, then run the same command again."
    )
