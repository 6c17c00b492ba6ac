"""The two sums from which every ridge head follows: X'X (d, d) and X'Y (d, t).

Symbols: x (n, d) raw image features, y (n, t) targets at unit length.
"""

from functools import cached_property

import numpy as np

from expclip_cache.base import DataError

BLOCK = 2048
"""Rows that are multiplied at once. Part of the definition of the sums: another block size rounds differently."""


class Moments:
    """X'X and X'Y over some rows, in float64, in memory that does not depend on the number of rows.

    Error bound with u = 2**-53, for k blocks of b <= 2048 rows: each element is within (b + k) u sum |x_i y_j| of the
    exact sum, to first order. The order of additions decides the last bits.

    Attributes:
        rows: n, rows summed.
        xx: (d, d) float64.
        xy: (d, t) float64.
    """

    def __init__(self, width: int, target_width: int):
        """The sums over no rows."""
        self.rows = 0
        self.xx = np.zeros((width, width))
        self.xy = np.zeros((width, target_width))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_buffers"}

    @property
    def width(self) -> int:
        """Width d of the image features."""
        return self.xy.shape[0]

    @property
    def target_width(self) -> int:
        """Width t of the targets."""
        return self.xy.shape[1]

    def add_rows(self, images: np.ndarray, targets: np.ndarray, *, xx: bool = True) -> None:
        """Add rows, block by block.

        Args:
            images: (n, d) raw, any float dtype.
            targets: (n, t) raw, any float dtype; scaled to unit length here, as the contrastive loss does.
            xx: whether to add to X'X too, which other targets of the same images share.

        Raises:
            DataError: the shapes do not match.
        """
        expected = (len(images), self.width), (len(images), self.target_width)
        if (images.shape, targets.shape) != expected:
            raise DataError(f"expected images and targets of shapes {expected}, found {images.shape, targets.shape}.")
        for start in range(0, len(images), BLOCK):
            self._add_block(images[start : start + BLOCK], targets[start : start + BLOCK], xx)

    def add(self, other: "Moments") -> None:
        """Add the sums over other rows.

        Raises:
            DataError: the widths differ.
        """
        ours, theirs = (self.width, self.target_width), (other.width, other.target_width)
        if ours != theirs:
            raise DataError(f"moments to add: expected widths (d, t) {ours}, found {theirs}.")
        self.rows += other.rows
        self.xx += other.xx
        self.xy += other.xy

    def _add_block(self, images: np.ndarray, targets: np.ndarray, with_xx: bool) -> None:
        x, y, xx, xy = self._buffers
        x, y = x[: len(images)], y[: len(images)]
        x[:], y[:] = images, targets
        if with_xx:
            self.xx += np.matmul(x.T, x, out=xx)
        # With y at unit length X'Y is X' diag(1 / |y|) Y: scaling the narrower matrix is cheaper.
        lengths = np.sqrt(y[:, None, :] @ y[:, :, None])[:, 0]
        x /= np.maximum(lengths, 1e-12)
        self.xy += np.matmul(x.T, y, out=xy)
        self.rows += len(images)

    @cached_property
    def _buffers(self) -> tuple[np.ndarray, ...]:
        """A block of x and of y in float64, and their products; allocated once."""
        shapes = (BLOCK, self.width), (BLOCK, self.target_width), self.xx.shape, self.xy.shape
        return tuple(np.empty(shape) for shape in shapes)
