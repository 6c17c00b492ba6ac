"""The two sums from which every ridge head follows: X'X (d, d) and X'Y (d, t).

Symbols: x (n, d) raw image features, y (n, t) targets at unit length. The sums add up over shards, processes and
machines; merged moments are bit for bit the same whichever way they were merged (see `expclip_cache.heads.ridge.exact_sum`).
"""

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.heads.ridge.exact_sum import ExactSum

BLOCK = 2048
"""Rows multiplied at once. Part of the definition of the sums: another block size rounds differently."""

_STRIP = 32
"""Rows converted at once, so that their norms are taken while they are in the cache."""


class Moments:
    """X'X and X'Y of some shards' rows, in float64, in memory that does not depend on the number of rows.

    Error bound, u = 2**-53: a product over a block of b <= 2048 rows is within b u sum|x_i y_j| of the exact one (the
    inputs are exact in float64), each block adds at most u for the grid; merging adds nothing.

    Attributes:
        rows: n, rows summed.
        shards: numbers of the shards that are in, each once.
        xx: (d, d) sum.
        xy: (d, t) sum.
    """

    def __init__(self, width: int, target_width: int):
        self.rows = 0
        self.shards: frozenset[int] = frozenset()
        self.xx = ExactSum((width, width))
        self.xy = ExactSum((width, target_width))
        self._space: tuple[np.ndarray, ...] | None = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_space": None}

    @property
    def width(self) -> int:
        """Width d of the image features."""
        return self.xy.coarse.shape[0]

    @property
    def target_width(self) -> int:
        """Width t of the targets."""
        return self.xy.coarse.shape[1]

    def add_shard(self, number: int, images: np.ndarray, targets: np.ndarray, chosen: np.ndarray | None = None) -> None:
        """Add one shard, block by block.

        Args:
            number: of the shard.
            images: (n, d) raw, any float type.
            targets: (n, t) raw, any float type; brought to unit length here, as the contrastive fit does.
            chosen: (m,) positions of the rows to add, all by default. Arrays mapped from a file are copied strip by
                strip only.

        Raises:
            DataError: the shard is in already, the shapes do not fit, or the sums leave their range.
        """
        self._refuse_twice(frozenset([number]))
        expected = (len(images), self.width), (len(images), self.target_width)
        if (images.shape, targets.shape) != expected:
            raise DataError(f"shard {number}: expected shapes {expected}, found {(images.shape, targets.shape)}.")
        chosen = np.arange(len(images)) if chosen is None else chosen
        for start in range(0, len(chosen), BLOCK):
            self._add_block(images, targets, chosen[start : start + BLOCK])
        self.shards |= {number}

    def merge(self, other: "Moments") -> None:
        """Add the moments of other shards; exact, so any order gives the same bits.

        Raises:
            DataError: a shard is in both, or the widths differ.
        """
        self._refuse_twice(other.shards)
        if (self.width, self.target_width) != (other.width, other.target_width):
            ours, theirs = (self.width, self.target_width), (other.width, other.target_width)
            raise DataError(f"moments to merge: expected widths (d, t) {ours}, found {theirs}.")
        self.xx.merge(other.xx)
        self.xy.merge(other.xy)
        self.rows += other.rows
        self.shards |= other.shards

    def _add_block(self, images: np.ndarray, targets: np.ndarray, chosen: np.ndarray) -> None:
        if self._space is None:
            shapes = (BLOCK, self.width), (BLOCK, self.target_width), (BLOCK, 1), self.xx.coarse.shape
            self._space = *(np.empty(shape) for shape in shapes), np.empty(self.xy.coarse.shape)
        x, y, lengths, xx, xy = self._space
        n = len(chosen)
        x, y, lengths = x[:n], y[:n], lengths[:n]
        for start in range(0, n, _STRIP):
            strip, rows = slice(start, start + _STRIP), chosen[start : start + _STRIP]
            x[strip], y[strip] = images[rows], targets[rows]
            lengths[strip, 0] = (y[strip, None, :] @ y[strip, :, None])[:, 0, 0]
        self.xx.add(np.matmul(x.T, x, out=xx))
        # X'Y with y at unit length is X' diag(1 / |y|) Y: dividing the narrow side is the cheap way.
        x /= np.maximum(np.sqrt(lengths), 1e-12)
        self.xy.add(np.matmul(x.T, y, out=xy))
        self.rows += n

    def _refuse_twice(self, numbers: frozenset[int]) -> None:
        twice = sorted(self.shards & numbers)
        if twice:
            raise DataError(f"shard {twice[0]} is in these moments already ({len(twice)} are): it would count twice.")
