"""What is checked when the shards of a job are made, before the index is written."""

from expclip_cache.base import CacheError, DataError, Reporter
from expclip_cache.cache import CacheWriter, shard_name
from expclip_cache.datasets import Manifest
from expclip_cache.extraction.decide import Request, other_libraries, shard_mismatch
from expclip_cache.extraction.survey import proved_shards


def record_other_parts(writer: CacheWriter, request: Request, report: Reporter) -> None:
    """Count the shards that others have finished.

    Raises:
        CacheError: one of them was made with other settings, or under library versions that are refused.
    """
    others, damage = proved_shards(writer.store, (n for n in range(len(request.plan)) if n not in request.part))
    for note in damage:
        report.say(note)
    for entry in others.values():
        if changed := shard_mismatch(entry, request):
            raise CacheError(
                f"{request.out}: this part is done, but {shard_name(entry.number)}: {'; '.join(changed)}. "
                "All parts need the same settings: delete that shard and make it again with these."
            )
        writer.record(entry)
    for note in other_libraries([entry.library for entry in others.values()], request):
        report.say(note)


def refuse_all_skipped(manifest: Manifest, writer: CacheWriter) -> None:
    """A cache without a single feature is not worth an index.

    Raises:
        DataError: not one row could be read.
    """
    skipped = [item for number in sorted(writer.recorded) for item in writer.recorded[number].skipped]
    if len(skipped) == len(manifest.rows):
        raise DataError(
            f"{manifest.name}: not one of its {len(skipped)} rows could be read; the first, "
            f"{skipped[0]['path']!r}: {skipped[0]['reason']}."
        )
