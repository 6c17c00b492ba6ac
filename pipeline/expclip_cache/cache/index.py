"""`index.json`: which shards make up a complete cache, and what is in them."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path

from expclip_cache.base import CacheError, sealed_json, write_atomically
from expclip_cache.cache.format import (
    FEATURE_TYPES,
    FORMAT,
    INDEX,
    VERSION,
    Identity,
    Json,
    canonical_json,
    plan_shards,
    shard_name,
)
from expclip_cache.cache.header import later_format
from expclip_cache.cache.layout import layout_of
from expclip_cache.cache.stores.store import Store

MAX_BYTES = 1 << 28
"""Largest index that is read: enough for a quarter of a million shards and about a million skipped rows."""


def write_index(
    folder: Path,
    identity: Identity,
    shards: Sequence[Json],
    skipped: Sequence[Json],
    *,
    rows: int,
    shard_rows: int,
    classes: Sequence[str],
    libraries: Sequence[str],
) -> None:
    """Write `index.json`, which declares the cache complete.

    Args:
        folder: of the cache, or where its files are written before they are put into a remote store.
        shards: one record for each shard, in order: name, first_row, rows, bytes, xxh3_128 as in its first line.
        skipped: one record for each row without features, in order: row, path, reason.
        libraries: every `library` of the shards.
    """
    body = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": identity.fingerprint,
        **asdict(identity),
        "rows": rows,
        "shard_rows": shard_rows,
        "classes": list(classes),
        "shards": list(shards),
        "skipped": list(skipped),
        "libraries": list(libraries),
    }
    write_atomically(folder / INDEX, index_bytes(body))


def index_bytes(body: Json) -> bytes:
    """The content of an index file: canonical JSON with its own checksum, so that any changed byte is noticed."""
    return sealed_json(canonical_json(body)) + b"\n"


def read_index(store: Store) -> Json:
    """Read and check `index.json`.

    Raises:
        CacheError: it is missing (the cache is incomplete), damaged, of another version, or contradicts itself.
    """
    path, size = store.path(INDEX), store.size(INDEX)
    if size is None or size > MAX_BYTES:
        found = "is missing" if size is None else f"is {size} bytes long, more than any index"
        raise CacheError(
            f"{store}: is not a complete feature cache ({INDEX} {found}). Run the extraction again: "
            "finished shards are kept."
        )
    raw = store.read(INDEX)
    try:
        index = json.loads(raw)
        body = {key: value for key, value in index.items() if key != "xxh3_128"}
        intact = index_bytes(body) == raw
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CacheError(
            f"{path}: is damaged ({type(error).__name__}). Delete it and run the extraction again."
        ) from None
    if not intact:
        raise CacheError(f"{path}: does not match its own checksum. Delete it and run the extraction again.")
    if (body.get("format"), body.get("version")) != (FORMAT, VERSION):
        if type(body.get("version")) is int and body["version"] > VERSION:
            raise later_format(path, body["version"])
        raise CacheError(
            f"{path}: expected {FORMAT!r} version {VERSION}, "
            f"found {body.get('format')!r} version {body.get('version')!r}."
        )
    try:
        _check(body)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, UnicodeError) as error:
        raise CacheError(
            f"{path}: contradicts itself ({type(error).__name__}: {error}). Delete it and run the extraction again."
        ) from None
    return body


def skipped_in(skipped: Sequence[Json], rows: range) -> list[Json]:
    """The records of the skipped rows among `rows`, of an index's records in order."""
    row = itemgetter("row")
    return list(skipped[bisect_left(skipped, rows.start, key=row) : bisect_left(skipped, rows.stop, key=row)])


def _check(body: Json) -> None:
    """The parts of an index must agree with each other: a valid checksum does not make it sensible."""
    identity = Identity(dict(body["settings"]), dict(body["encoder"]))
    if body["fingerprint"] != identity.fingerprint:
        raise ValueError("the fingerprint is not that of its settings")
    rows, shard_rows = _count(body["rows"]), _count(body["shard_rows"])
    # Compared before planning: a hostile count must not be expanded.
    if shard_rows == 0 or len(body["shards"]) != -(-rows // shard_rows):
        raise ValueError(f"{len(body['shards'])} shards of {shard_rows} for {rows} rows")
    for number, (part, shard) in enumerate(zip(plan_shards(rows, shard_rows), body["shards"], strict=True)):
        expected = {"name": shard_name(number), "first_row": part.start, "rows": len(part)}
        expected |= {"bytes": _count(shard["bytes"]), "xxh3_128": str(shard["xxh3_128"])}
        if shard != expected:
            raise ValueError(f"shard {number} is {shard!r}, expected {expected!r}")
    if not isinstance(body["skipped"], list):
        raise TypeError("expected a list of skipped rows")
    skipped = [_count(item["row"]) for item in body["skipped"]]
    if skipped != sorted(set(skipped)) or any(row >= rows for row in skipped):
        raise ValueError("the skipped rows are not in order, or not all of this cache")
    names = [item[key] for item in body["skipped"] for key in ("path", "reason")]
    if not all(isinstance(name, str) for name in [*names, *body["classes"], *body["libraries"]]):
        raise TypeError("expected text for every path, reason, class and library")
    layout_of(identity)
    if identity.settings["dtype"] not in FEATURE_TYPES or not isinstance(identity.settings["manifest"], str):
        raise ValueError(f"features of type {identity.settings['dtype']!r}")


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"expected a count, found {value!r}")
    return value
