"""The images that lambda is chosen on, read from the caches a few batches at a time."""

from collections.abc import Callable, Iterator

import numpy as np

from expclip_cache.heads.ridge.lambda_choice import batch_count
from expclip_cache.heads.ridge.shard_groups import ShardGroups


class HeldOutRows:
    """The rows that are left out of the sums, in ascending order. What is in memory is their number in each shard."""

    def __init__(self, groups: ShardGroups):
        """Count them.

        Raises:
            CacheError: the caches come from different manifests.
        """
        self._groups = groups
        counts = [len(groups.rows_of(shard)[1]) for shard in range(len(groups.images.shards))]
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        """(m,) ascending places, from 0 to the number of these rows - 1 -> int64 ids of the rows there."""
        found = np.empty(len(places), dtype=np.int64)
        shards, firsts = np.unique(np.searchsorted(self._ends, places, side="right"), return_index=True)
        # Without any place there is one empty piece, and no shard.
        for shard, some in zip(shards.tolist(), np.split(np.arange(len(places)), firsts[1:]), strict=False):
            _, rows = self._groups.rows_of(shard)
            found[some] = rows[places[some] - (self._ends[shard] - len(rows))]
        return found

    def batches(
        self, size: int, advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images (b, d) and targets (b, t), raw, of each of the batches that `even_batches` makes of these rows.

        A batch has rows of nearly every shard, so batches are read several at a time, with about as many rows as a
        shard.

        Args:
            size: images per batch, about.
            advance: called with the number of images after each batch.

        Raises:
            CacheError: a shard is missing or damaged.
        """
        images, targets = self._groups.images, self._groups.targets
        count, together = batch_count(len(self), size), max(1, images.shard_rows // size)
        for first in range(0, count, together):
            batches = range(first, min(first + together, count))
            # Row by row: the next row of each of these batches. The last of them may have no row left.
            places = np.add.outer(np.arange(0, len(self), count), np.asarray(batches))
            rows = self[places[places < len(self)]]
            x, y = images.item_vectors(rows), targets[rows]
            for batch in range(len(batches)):
                yield x[batch :: len(batches)], y[batch :: len(batches)]
                advance(len(x[batch :: len(batches)]))
