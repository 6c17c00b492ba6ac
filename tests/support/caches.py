"""Small caches with known content, for tests that read, damage or forge them."""

import json
from pathlib import Path

import numpy as np

from expclip_cache.cache.format import INDEX, Block, Identity, canonical_json
from expclip_cache.cache.header import SEALED_FROM, digest_of, first_line
from expclip_cache.cache.index import index_bytes
from expclip_cache.cache.writer import CacheWriter

IDENTITY = Identity({"model": "tiny", "dtype": "float16", "manifest": "m1"}, {"width": 4, "weights_sha256": "w"})
LIBRARY = "test 1.0"


def make_block(number: int, rows: range, bad: tuple[int, ...] = ()) -> Block:
    """The content of one shard, with the rows of `make_cache`; the rows in `bad` have an error and no features."""
    features = np.array([[row + k / 8 for k in range(4)] for row in rows], dtype=np.float16)
    for row in bad:
        features[row - rows.start] = np.nan
    return Block(
        number=number,
        first_row=rows.start,
        features=features,
        labels=np.array([row % 3 for row in rows], dtype=np.int32),
        paths=tuple(f"é/{row}.jpg".encode() for row in rows),
        errors=tuple(b"truncated" if row in bad else b"" for row in rows),
    )


def make_cache(
    folder: Path, rows: int = 10, shard_rows: int = 4, bad: tuple[int, ...] = (), identity: Identity = IDENTITY
) -> Path:
    """Row r has the features r, r + 1/8, r + 2/8, r + 3/8, the label r % 3 and the path é/r.jpg."""
    settings = {key: value for key, value in identity.settings.items() if key not in ("dtype", "manifest")}
    with CacheWriter(
        folder,
        manifest=identity.settings["manifest"],
        settings=settings,
        encoder=identity.encoder,
        library=LIBRARY,
        classes=["a", "b", "c"],
        shard_rows=shard_rows,
        dtype=identity.settings["dtype"],
        replace=True,
    ) as writer:
        writer.add(
            np.array([[row + k / 8 for k in range(4)] for row in range(rows)]),
            labels=[row % 3 for row in range(rows)],
            paths=[f"é/{row}.jpg" for row in range(rows)],
            errors=["truncated" if row in bad else "" for row in range(rows)],
        )
    return folder


def header_of(raw: bytes) -> dict:
    """The JSON in the header of a shard, given the bytes of the file."""
    return json.loads(raw[SEALED_FROM:].partition(b"\n")[0])


def with_header(raw: bytes, body: object, size: int = 4096) -> bytes:
    """The shard with another header of `size` bytes, written as the writer does, and a valid checksum."""
    text = canonical_json(body).ljust(size - SEALED_FROM - 1) + b"\n"
    return resealed(raw[:SEALED_FROM] + text + raw[size:])


def resealed(raw: bytes) -> bytes:
    """The shard with a checksum that matches its bytes, so that only checks of the content can find damage."""
    return first_line(digest_of(raw[SEALED_FROM:])) + raw[SEALED_FROM:]


def edit_index(folder: Path, change: dict) -> None:
    """Change entries of an index and give it a valid checksum."""
    body = json.loads((folder / INDEX).read_bytes())
    del body["xxh3_128"]
    (folder / INDEX).write_bytes(index_bytes(body | change))
