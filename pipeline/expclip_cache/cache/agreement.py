"""Whether a whole shard agrees with all that is known of its cache: name, index, fellow shards, manifest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from expclip_cache.cache.format import Identity, Json, differences
from expclip_cache.cache.index import skipped_in
from expclip_cache.cache.shard import Shard
from expclip_cache.datasets import Manifest


@dataclass
class Known:
    """What is known of a cache.

    Attributes:
        index: content of its index; None if that is missing or broken.
        identity: by the index, else by the first whole shard; None as long as there is neither.
        manifest: None if there is none.
    """

    index: Json = None
    identity: Identity | None = None
    manifest: Manifest | None = None

    def manifest_of(self, identity: Identity | None) -> Manifest | None:
        """The manifest, if it is the one that something with this identity was made from."""
        fits = self.manifest and identity and identity.settings["manifest"] == self.manifest.sha256
        return self.manifest if fits else None


def contradiction(shard: Shard, number: int, known: Known) -> str:
    """The first way in which shard `number` contradicts what is known; empty if there is none."""
    return next(_contradictions(shard, number, known), "")


def _contradictions(shard: Shard, number: int, known: Known) -> Iterator[str]:
    entry = shard.entry()
    if entry.number != number:
        yield f"is shard {entry.number} by its content"
    identity = known.identity or entry.identity
    words = ("cache", "this shard")
    yield from differences(identity.settings, entry.identity.settings, words)
    yield from differences(identity.encoder, entry.identity.encoder, words)
    width, dtype = shard.features.shape[1], shard.features.dtype.name
    if (width, dtype) != (identity.encoder.get("width"), identity.settings.get("dtype")):
        yield f"its features are {width} wide and {dtype}, which its settings are not"
    if known.index is not None:
        yield from _unlike_index(shard, number, known.index)
    if manifest := known.manifest_of(identity):
        yield from _unlike_manifest(shard, manifest)


def _unlike_index(shard: Shard, number: int, index: Json) -> Iterator[str]:
    entry = shard.entry()
    if number >= len(index["shards"]):
        yield "is no part of the index"
    elif index["shards"][number] != entry.record:
        yield "is whole, but not the file that the index recorded"
    elif skipped_in(index["skipped"], entry.rows) != entry.skipped:
        yield "its failed rows are not those of the index"


def _unlike_manifest(shard: Shard, manifest: Manifest) -> Iterator[str]:
    if shard.rows.stop > len(manifest.rows):
        yield f"has rows up to {shard.rows.stop - 1}, the manifest up to {len(manifest.rows) - 1}"
        return
    for place, number in enumerate(shard.rows):
        row, path, label = manifest.rows[number], bytes(shard.paths[place]), int(shard.labels[place])
        if (path, label) != (os.fsencode(row.path), row.label):
            yield f"row {number} is {os.fsdecode(path)!r} with label {label}, by the manifest {row.path!r}, {row.label}"
