"""Whether an intact shard agrees with what is known of its cache: its name, the index, other shards, the manifest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from expclip_cache.cache.format import Identity, Json, identity_differences
from expclip_cache.cache.index import skipped_in
from expclip_cache.cache.layout import layout_of
from expclip_cache.cache.shard import Shard
from expclip_cache.datasets import Manifest


@dataclass
class Known:
    """What is known of a cache.

    Attributes:
        index: content of its index; None if that is missing or broken.
        identity: of the index, else of the first intact shard; None while there is neither.
        manifest: None if there is none.
    """

    index: Json = None
    identity: Identity | None = None
    manifest: Manifest | None = None

    def manifest_of(self, identity: Identity | None) -> Manifest | None:
        """The manifest, if features with this identity were made from it."""
        fits = self.manifest and identity and identity.settings["manifest"] == self.manifest.sha256
        return self.manifest if fits else None


def contradiction(shard: Shard, number: int, known: Known) -> str:
    """The first way in which shard `number` contradicts what is known; empty if it does not."""
    return next(_contradictions(shard, number, known), "")


def _contradictions(shard: Shard, number: int, known: Known) -> Iterator[str]:
    entry = shard.entry()
    if entry.number != number:
        yield f"contains shard {entry.number}"
    identity = known.identity or entry.identity
    yield from identity_differences(identity, entry.identity, ("cache", "this shard"))
    width, dtype = shard.features.shape[1], shard.features.dtype.name
    if (width, dtype) != (_row_width(identity), identity.settings.get("dtype")):
        yield f"its features are {width} wide and {dtype}, which contradicts its settings"
    if known.index is not None:
        yield from _differences_from_index(shard, number, known.index)
    if manifest := known.manifest_of(identity):
        yield from _differences_from_manifest(shard, manifest)


def _row_width(identity: Identity) -> int | None:
    """Numbers in a row; None if the identity does not say."""
    try:
        return layout_of(identity).row_width
    except ValueError:
        return None


def _differences_from_index(shard: Shard, number: int, index: Json) -> Iterator[str]:
    entry = shard.entry()
    if number >= len(index["shards"]):
        yield "is not in the index"
    elif index["shards"][number] != entry.record:
        yield "is intact, but not the file that the index recorded"
    elif skipped_in(index["skipped"], entry.rows) != entry.skipped:
        yield "its skipped rows are not those of the index"


def _differences_from_manifest(shard: Shard, manifest: Manifest) -> Iterator[str]:
    if shard.rows.stop > len(manifest.rows):
        yield f"has rows up to {shard.rows.stop - 1}, the manifest has rows up to {len(manifest.rows) - 1}"
        return
    listed = manifest.rows[shard.rows.start : shard.rows.stop]
    for place, (number, row) in enumerate(zip(shard.rows, listed, strict=True)):
        path, label = bytes(shard.paths[place]), int(shard.labels[place])
        if (path, label) != (os.fsencode(row.path), row.label):
            ours, theirs = f"{os.fsdecode(path)!r} with label {label}", f"{row.path!r} with label {row.label}"
            yield f"row {number} is {ours}, in the manifest it is {theirs}"
