"""The unit in which moments are summed: fixed groups of shards.

Floating-point sums depend on the order of additions. So the order is fixed: blocks of a shard, shards of a group and
groups of a cache, each from first to last. Whoever sums a group, the same bits come out.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import xxhash

from expclip_cache.cache import FeatureCache, Store, json_sha256, paired_rows
from expclip_cache.heads.cached_rows import chosen_rows
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
            "paired_rows": xxhash.xxh3_128_hexdigest(self.paired_rows.tobytes()),
            "shard_rows": self.images.shard_rows,
            "held_out": self.held_out,
        }
        return json_sha256(settings)

    @cached_property
    def paired_rows(self) -> np.ndarray:
        """(m,) int64 ids of the rows that have features in both caches, and are among `only`.

        Raises:
            CacheError: the caches come from different manifests.
        """
        return chosen_rows(paired_rows(self.images, self.targets), self.only)

    @property
    def held_out_rows(self) -> np.ndarray:
        """int64 ids of the paired rows that are left out of the sums."""
        return self.paired_rows[is_held_out(self.paired_rows, self.held_out)]

    def shards(self, group: int) -> range:
        """The shards of a group, by number."""
        return range(group * GROUP_SHARDS, min((group + 1) * GROUP_SHARDS, len(self.images.shards)))

    def rows(self, group: int) -> int:
        """How many rows the sums of a group are over."""
        return sum(len(self._rows_of(shard)) for shard in self.shards(group))

    def sum(self, group: int, advance: Callable[[int], None] = lambda _: None) -> Moments:
        """The moments of one group; one shard at a time is in memory.

        Args:
            advance: called with the number of rows after each shard.

        Raises:
            CacheError: a shard is missing or damaged.
        """
        moments = Moments(self.images.layout.width, self.targets.width)
        for shard in self.shards(group):
            rows = self._rows_of(shard)
            moments.add_rows(self.images.item_vectors(rows), self.targets[rows])
            advance(len(rows))
        return moments

    def _rows_of(self, shard: int) -> np.ndarray:
        ends = shard * self.images.shard_rows, (shard + 1) * self.images.shard_rows
        first, last = np.searchsorted(self.paired_rows, ends)
        rows = self.paired_rows[first:last]
        return rows[~is_held_out(rows, self.held_out)]


def _open(images: Store, targets: Store, vector: int | None, held_out: float, only: np.ndarray | None) -> ShardGroups:
    return ShardGroups(FeatureCache(images), FeatureCache(targets, vector=vector), held_out, only)


def moments_folder(moments: Path, groups: ShardGroups) -> Path:
    """The folder for one pair of caches in a folder for many."""
    return moments / groups.fingerprint[:16]
