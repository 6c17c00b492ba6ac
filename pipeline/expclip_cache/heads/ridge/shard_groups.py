"""The unit in which moments are summed: fixed groups of shards.

Floating-point sums depend on the order of additions. So the order is fixed: blocks of a shard, shards of a group and
groups of a cache, each from first to last. Whoever sums a group, the same bits come out.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from expclip_cache.cache import FeatureCache, PairedRows, Store, json_sha256
from expclip_cache.heads.ridge.lambda_choice import is_held_out
from expclip_cache.heads.ridge.moments import BLOCK, Moments

VERSION = 2
"""Of the sums and their files: raised whenever the same caches would give other bits."""

GROUP_SHARDS = 8
"""Shards per group. Part of the definition of the sums, like `BLOCK`."""


class ShardGroups:
    """The rows of two paired caches in groups of `GROUP_SHARDS` shards of the image features.

    Pickled as the places of the caches, which are opened where it is unpickled.

    Attributes:
        images: image features, one vector of d or several an item.
        targets: (n, t) targets from the same manifest; their shards may have another size.
        held_out: share of the rows that are left out of the sums, see `is_held_out`.
        only: (k,) int64 ids of the rows to which the sums are limited; None: all.
    """

    def __init__(self, images: FeatureCache, targets: FeatureCache, held_out: float, only: np.ndarray | None = None):
        self.images = images
        self.targets = targets
        self.held_out = held_out
        self.only = only

    def __reduce__(self) -> tuple[Callable[..., "ShardGroups"], tuple[object, ...]]:
        return _open, (self.images.store, self.targets.store, self.targets.vector, self.held_out, self.only)

    def __len__(self) -> int:
        """The number of groups."""
        return -(-len(self.images.shards) // GROUP_SHARDS)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hex, over all that the sums depend on: caches, rows, held-out share, blocks and groups."""
        settings = {
            "version": VERSION,
            "block": BLOCK,
            "group_shards": GROUP_SHARDS,
            "images": self.images.identity.fingerprint,
            "targets": self.targets.fingerprint,
            "paired_rows": self._paired.xxh3_128(),
            "shard_rows": self.images.shard_rows,
            "held_out": self.held_out,
        }
        return json_sha256(settings)

    @cached_property
    def _paired(self) -> PairedRows:
        return PairedRows(self.images, self.targets, only=self.only)

    def shards(self, group: int) -> range:
        """The shards of a group, by number."""
        return range(group * GROUP_SHARDS, min((group + 1) * GROUP_SHARDS, len(self.images.shards)))

    def rows(self, group: int) -> int:
        """How many rows the sums of a group are over."""
        return sum(len(self.rows_of(shard)[0]) for shard in self.shards(group))

    def rows_of(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        """int64 ids, ascending, of the paired rows of a shard: those of the sums, and those that are held out.

        Raises:
            CacheError: the caches come from different manifests.
        """
        rows = self._paired.within(self.images.shards[shard])
        held_out = is_held_out(rows, self.held_out)
        return rows[~held_out], rows[held_out]

    def sum(self, group: int, advance: Callable[[int], None] = lambda _: None) -> Moments:
        """The moments of one group; one shard at a time is in memory.

        Args:
            advance: called with the number of rows after each shard.

        Raises:
            CacheError: a shard is missing or damaged.
        """
        moments = Moments(self.images.layout.width, self.targets.width)
        for shard in self.shards(group):
            rows, _ = self.rows_of(shard)
            moments.add_rows(self.images.item_vectors(rows), self.targets[rows])
            advance(len(rows))
        return moments


def _open(images: Store, targets: Store, vector: int | None, held_out: float, only: np.ndarray | None) -> ShardGroups:
    return ShardGroups(FeatureCache(images), FeatureCache(targets, vector=vector), held_out, only)


def moments_folder(moments: Path, groups: ShardGroups) -> Path:
    """The folder for one pair of caches in a folder for many."""
    return moments / groups.fingerprint[:16]
