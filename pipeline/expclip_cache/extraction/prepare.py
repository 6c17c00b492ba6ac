"""Bring the place of a cache to the state that was decided on, before any shard is made."""

from expclip_cache.cache import INDEX, MANIFEST, OLD_MANIFEST, CacheWriter, shard_name
from expclip_cache.extraction.decide import Decision


def prepare(decision: Decision, writer: CacheWriter) -> None:
    """Remove what no longer holds, record the shards that are kept, and store the manifest."""
    store = writer.store
    if decision.replace:
        shards = {name for name in store.sizes() if name.startswith("shard-")} | store.waiting()
        for name in [INDEX, MANIFEST, OLD_MANIFEST, *sorted(shards)]:
            store.remove(name)
    if decision.drop_index:
        with writer.claim.index():
            store.remove(INDEX)
    for number in decision.send:
        store.put(shard_name(number))
    for entry in (decision.keep or {}).values():
        writer.record(entry)
    writer.put_manifest()
