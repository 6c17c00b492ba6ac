"""Features of a tiny study and heads of both kinds, for tests of what fits and scores them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from expclip_cache.base import Bar, SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import ContrastiveSettings, RidgeSettings, StudyHead, complete_heads
from expclip_cache.workers import RunSettings
from tiny_caches import write_cache

ROWS, WIDTH, TARGET_WIDTH = 120, 6, 9
BAD = (3, 77)
"""Rows without image features; row 50 has no targets."""

HEADS: dict[str, ContrastiveSettings | RidgeSettings] = {
    "slow": ContrastiveSettings(lr=0.02, epochs=2, batch_size=30, seeds=(1, 2)),
    "fast": ContrastiveSettings(lr=0.3, weight_decay=0.01, epochs=2, batch_size=30, seeds=(3, 1)),
    "long": ContrastiveSettings(lr=0.1, momentum=0.5, epochs=3, batch_size=40),
    "ridge": RidgeSettings(held_out=0.2, batch_size=20),
    "ridge-tight": RidgeSettings(held_out=0.2, batch_size=20, tolerance=0.0),
    "ridge-fixed": RidgeSettings(choose="fixed", fixed=0.3),
}
"""`slow` and `fast` have equal batches, so they train together; the first two ridge heads hold out the same rows."""

KEYS = [("slow", 1), ("slow", 2), ("fast", 3), ("fast", 1), ("long", 1)]
KEYS += [("ridge", None), ("ridge-tight", None), ("ridge-fixed", None)]
"""Name and seed of every head, in order."""


class RecordingReporter(SilentReporter):
    """Keeps what it is told.

    Attributes:
        lines: messages.
        bars: title and total of each bar.
    """

    def __init__(self):
        self.lines: list[str] = []
        self.bars: list[tuple[str, int]] = []

    def say(self, line: str) -> None:
        """Keep one line."""
        self.lines.append(line)

    def bar(self, title: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """Keep the title and total; show nothing."""
        self.bars.append((title, total))
        return super().bar(title, total, unit)


def features(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Image features (n, 6) and targets (n, 9), float32, that follow from them up to noise."""
    random = np.random.default_rng(5)
    X = random.normal(size=(rows, WIDTH)) + 0.5
    Y = X @ random.normal(size=(WIDTH, TARGET_WIDTH)) + 0.5 * random.normal(size=(rows, TARGET_WIDTH))
    return X.astype("f4"), Y.astype("f4")


def write_images(folder: Path, bad: tuple[int, ...] = BAD, **encoder: object) -> FeatureCache:
    """The image features of the training set."""
    return write_cache(folder, features()[0], 32, bad=bad, **{"logit_scale": 20.0, **encoder})


def write_targets(folder: Path, bad: tuple[int, ...] = (50,), *, shift: float = 0.0, **encoder: object) -> FeatureCache:
    """Its targets; `shift` is added to every value, as another draw or another teacher would change them."""
    return write_cache(folder, features()[1] + np.float32(shift), 50, bad=bad, **encoder)


def fit(
    images: FeatureCache,
    targets: FeatureCache | Sequence[FeatureCache],
    folder: Path,
    heads: dict[str, ContrastiveSettings | RidgeSettings] | None = None,
    **more: object,
) -> list[StudyHead]:
    """`complete_heads` on the CPU."""
    caches = [targets] if isinstance(targets, FeatureCache) else targets
    return complete_heads(
        images, caches, HEADS if heads is None else heads, folder, run=RunSettings(device="cpu"), **more
    )
