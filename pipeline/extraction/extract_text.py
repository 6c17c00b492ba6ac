"""Cache the text tower's embeddings of prompts, in the same format as pictures: one row a distinct text."""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.atomic import remove_temporaries
from pipeline.lock import writing
from pipeline.params import CacheParams
from pipeline.shards.index_file import write_index
from pipeline.shards.reader import FeatureCache
from pipeline.shards.schema import INDEX, Block, Identity, Json, canonical_json, shard_name
from pipeline.shards.shard import open_shard
from pipeline.shards.writer import write_shard


class TextEncoder(Protocol):
    """A frozen text encoder, loaded."""

    def describe(self) -> dict[str, Json]:
        """What only loading tells."""

    def encode_texts(self, texts: list[str]) -> "torch.Tensor":  # noqa: F821
        """P texts -> (p, d) float32, raw."""


def extract_texts(
    texts: tuple[str, ...], encoder: TextEncoder, settings: dict[str, Json], out: Path, cache: CacheParams
) -> FeatureCache:
    """Encode distinct texts and write them as a cache of one shard, replacing what is there.

    Args:
        texts: without repeats; a row's path is its text.

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
    with writing(out):
        for name in (INDEX, shard_name(0)):
            remove_temporaries(out / name)
        (out / INDEX).unlink(missing_ok=True)
        entry = open_shard(write_shard(out, block, identity, library)).entry()
        write_index(
            out,
            identity,
            [entry.record],
            entry.skipped,
            rows=len(texts),
            shard_rows=len(texts),
            classes=(),
            libraries=[library],
        )
    return FeatureCache(out)
