"""Images that were read, in groups that are encoded together."""

from collections.abc import Iterable, Iterator

from expclip_cache.prediction.sources import Pixels


def in_batches(found: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    """Groups with at least `size` squares each, but for the last; a clip or a photo is never divided."""
    batch: list[Pixels] = []
    for pixels in found:
        batch.append(pixels)
        if sum(len(each.squares) for each in batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
