"""Write shards and the index: whole, durable, in one rename each; nothing is ever appended to."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import xxhash

from pipeline.atomic import replacing, write_atomically
from pipeline.shards.schema import FORMAT, INDEX, VERSION, Block, Identity, Json, canonical_json, shard_name


def write_shard(folder: Path, block: Block, identity: Identity, library: str) -> Path:
    """Write one shard. The same content gives the same bytes, on every run.

    Args:
        library: names and versions of what made the features; said, but no part of the identity.

    Returns:
        The path of the shard, which exists only if it is complete and on the disk.
    """
    arrays = block.arrays()
    attributes = shard_attributes(block.number, block.first_row, identity, library)
    path = folder / shard_name(block.number)
    # No time stamps and the default library version keep the bytes a function of the content.
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, track_times=False)
        file.attrs.update(attributes)
        file.attrs["content_xxh3_128"] = content_digest(attributes, arrays)
    return path


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
        shards: one record for each shard, in order: name, first_row, rows, bytes, xxh3_128 of the file.
        skipped: one record for each row without features: row, path, reason.
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
    """The file content of an index: canonical JSON with its own checksum, so that any changed byte is noticed."""
    digest = xxhash.xxh3_128_hexdigest(canonical_json(body))
    return canonical_json(body | {"xxh3_128": digest}) + b"\n"


def shard_attributes(number: int, first_row: int, identity: Identity, library: str) -> dict[str, Json]:
    """The attributes of a shard, without its checksum."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": identity.fingerprint,
        "settings": canonical_json(dict(identity.settings)).decode(),
        "encoder": canonical_json(dict(identity.encoder)).decode(),
        "library": library,
        "shard": number,
        "first_row": first_row,
        "l2_normalized": False,
    }


def content_digest(attributes: dict[str, Json], arrays: dict[str, np.ndarray]) -> str:
    """XXH3-128 over the attributes and, in order, each dataset's name, type, shape and bytes; hex."""
    digest = xxhash.xxh3_128(canonical_json(attributes))
    for name, values in arrays.items():
        digest.update(canonical_json([name, values.dtype.str, values.shape]))
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """XXH3-128 of a whole file, hex."""
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while size := file.readinto(buffer):
            digest.update(memoryview(buffer)[:size])
    return digest.hexdigest()
