"""What a row of a cache holds: one vector for most encoders, several where frames are kept or an image has several."""

from typing import Literal, NamedTuple, get_args

import numpy as np

from expclip_cache.cache.format import Identity

Comparison = Literal["best-vector", "conditioned-text"]
"""How an item is compared with a text.

`best-vector` is the cosine; of several vectors of an image the best counts, and a clip has the mean of its frames.
`conditioned-text` first changes the text by what the item shows.
"""

TEXT = "clip-text"
"""The `encoder` of a cache of encoded texts."""

LARGEST = 1 << 24
"""No row has as many numbers as that."""


class RowLayout(NamedTuple):
    """The vectors in a row; on disk they follow one another, frame by frame.

    Attributes:
        frames: f, how many frames the row has vectors of: 1 for images, and for clips whose frames were pooled.
        vectors: q, of each frame.
        width: d, of each vector.
        comparison: see `Comparison`.
    """

    frames: int
    vectors: int
    width: int
    comparison: Comparison

    @property
    def row_width(self) -> int:
        """Numbers in a row, f * q * d."""
        return self.frames * self.vectors * self.width

    def item_vectors(self, rows: np.ndarray) -> np.ndarray:
        """One vector for each item, which heads are fitted on: (m, f * q * d) -> (m, d).

        It is the mean of an item's vectors, in float32, and the first of them, that of the whole clip, where the text
        is conditioned by the others. Rows of a single vector are returned as they are.
        """
        if self.row_width == self.width:
            return rows
        if self.comparison == "conditioned-text":
            return rows[:, : self.width]
        return rows.reshape(len(rows), -1, self.width).mean(axis=1, dtype=np.float32)


def layout_of(identity: Identity) -> RowLayout:
    """The layout that a cache's identity describes; a row of an encoded text is always one vector.

    Raises:
        ValueError: it describes none.
    """
    settings, encoder = identity.settings, identity.encoder
    is_text = settings.get("encoder") == TEXT
    layout = RowLayout(
        frames=settings.get("frames", 1),
        vectors=1 if is_text else encoder.get("vectors", 1),
        width=encoder.get("width", 0),
        comparison=encoder.get("comparison", "best-vector"),
    )
    if not all(type(count) is int and 0 < count < LARGEST for count in layout[:3]) or layout.row_width >= LARGEST:
        raise ValueError(f"rows of {layout.frames!r} frames, {layout.vectors!r} vectors, width {layout.width!r}")
    if layout.comparison not in get_args(Comparison):
        raise ValueError(f"an unknown comparison {layout.comparison!r}")
    return layout
