"""The sums that ridge heads follow from, for every state of a teacher in one pass over its targets."""

from collections.abc import Callable

import numpy as np

from expclip_cache.cache import FeatureCache
from expclip_cache.heads import Moments
from expclip_cache.teachers.inputs import TeacherTargets


def sum_states(
    images: FeatureCache,
    targets: TeacherTargets,
    rows: np.ndarray,
    xx: np.ndarray | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Moments]:
    """X'X and X'Y of each state; X'X is summed once, or not at all if it is known.

    Args:
        images: image features of width d.
        targets: of v states of width t.
        rows: (m,) int64 ids to sum, ascending.
        xx: (d, d) float64 X'X of these rows, if a pass with another teacher has summed it.
        advance: called with the number of rows after each shard of the images.

    Returns:
        v sums, all with the same X'X.

    Raises:
        CacheError: a shard is missing or damaged.
    """
    sums = [Moments(images.layout.width, targets.cache.layout.width) for _ in targets.states]
    for shard in images.shards:
        first, last = np.searchsorted(rows, (shard.start, shard.stop))
        own = rows[first:last]
        x, y = images.item_vectors(own), targets.read(own)
        for number, one in enumerate(sums):
            one.add_rows(x, y[:, number], xx=number == 0 and xx is None)
        advance(len(own))
    for one in sums:
        one.xx = sums[0].xx if xx is None else xx
    return sums
