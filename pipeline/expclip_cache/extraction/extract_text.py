"""Cache the text tower's embeddings of prompts, in the same format as pictures: one row a distinct text."""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np

from expclip_cache.cache import (
    INDEX,
    Block,
    CacheSettings,
    FeatureCache,
    Identity,
    Json,
    canonical_json,
    open_shard,
    shard_name,
    store_at,
    write_index,
    write_shard,
    writing,
)


class TextEncoder(Protocol):
    """A frozen text encoder, loaded."""

    def describe(self) -> dict[str, Json]:
        """What only loading tells."""

    def encode_texts(self, texts: list[str]) -> "torch.Tensor":  # noqa: F821
        """P texts -> (p, d) float32, raw."""


def extract_texts(
    texts: tuple[str, ...], encoder: TextEncoder, settings: dict[str, Json], out: Path | str, cache: CacheSettings
) -> FeatureCache:
    """Encode distinct texts and write them as a cache of one shard, replacing what is there.

    Args:
        texts: without repeats; a row's path is its text.
        out: folder or address of the cache.

    Returns:
        The cache: (p, d) features, raw.
    """
    described = encoder.describe()
    library = described.pop("library")
    digest = hashlib.sha256(canonical_json(texts)).hexdigest()
    identity = Identity(settings | {"dtype": cache.dtype, "manifest": digest}, described)
    names = tuple(text.encode() for text in texts)
    features = encoder.encode_texts(list(texts)).cpu().numpy().astype(cache.dtype)
    block = Block(0, 0, features, np.full(len(texts), -1, dtype=np.int32), names, (b"",) * len(texts))
    store = store_at(out)
    with writing(store.folder), store.leased(None):
        store.remove_temporaries([INDEX, shard_name(0)])
        store.remove(INDEX)
        entry = open_shard(write_shard(store.folder, block, identity, library)).entry()
        store.put(shard_name(0))
        write_index(
            store.folder,
            identity,
            [entry.record],
            entry.skipped,
            rows=len(texts),
            shard_rows=len(texts),
            classes=(),
            libraries=[library],
        )
        store.put(INDEX)
    return FeatureCache(store)
