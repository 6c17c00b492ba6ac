"""Made-up test sets for probes."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.probes import ProbeSet
from expclip_cache.probes.probe_set import ZeroShot

CLIP = ZeroShot("reference", 5, "", "")
CLASSES = ("happiness", "sadness", "fear")
WIDTH = 12


def probe_set(
    name: str,
    counts: Sequence[int],
    *,
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
    spread: float = 1.0,
    folds: Sequence[int] | None = None,
    images: Sequence[str] | None = None,
) -> ProbeSet:
    """So many items of each class; a class has the same mean in every set.

    Args:
        seed: of the items.
        spread: of the items of a class around its mean.
        folds: number of each item's fold.
        images: key of each item.
    """
    random = np.random.default_rng(seed)
    means = np.stack([np.random.default_rng(list(word.encode())).normal(size=WIDTH) for word in classes])
    labels = random.permutation(np.repeat(np.arange(len(classes)), counts))
    features = means[labels] + spread * random.normal(size=(len(labels), WIDTH))
    return ProbeSet(
        name=name,
        classes=tuple(classes),
        features=features / np.linalg.norm(features, axis=1, keepdims=True),
        labels=labels,
        images=np.array(images if images is not None else [f"{name} {row}" for row in range(len(labels))]),
        folds=np.array(folds if folds is not None else np.zeros(len(labels), dtype=int)),
        similarities={CLIP: random.normal(size=(1, len(labels), len(classes))).astype("f4")},
    )
