"""A map of one test set: a panel for plain CLIP and one for each head."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Panel:
    """The same items and class prompts as one classifier compares them.

    Attributes:
        head: name of the head; empty for plain CLIP.
        items: (m, 2) float64 places of the items.
        prompts: (c, 2) float64 places of the class prompts.
        predicted: (m,) int64 predictions of the items.
        uar: of the whole test set, as `score` computes it, in percent.
        centred_uar: UAR if the nearest class prompt were taken after centring, as the map is drawn, in percent.
        own_class: share of an item's nearest neighbours with its class in the space of the features, before centring,
            see `own_class_share`.
        kept: share of these neighbours that are among the nearest in the map too, in percent.
    """

    head: str
    items: np.ndarray
    prompts: np.ndarray
    predicted: np.ndarray
    uar: float
    centred_uar: float
    own_class: float
    kept: float


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """A map of one test set.

    Attributes:
        name: of the test set.
        classes: c names; labels index them.
        prompt_type: 1 to 5, or 0 for prompts from a file.
        scored: n, the items of the test set.
        skipped: rows without features.
        rows: (m,) int64 ids of the drawn items' rows.
        paths: of the drawn items.
        truth: (m,) int64 true classes of the drawn items.
        neighbours: k, how many nearest neighbours `own_class` and `kept` count.
        chance: `own_class` to be expected of items in random places, in percent.
        panels: plain CLIP, then the heads.
    """

    name: str
    classes: tuple[str, ...]
    prompt_type: int
    scored: int
    skipped: int
    rows: np.ndarray
    paths: tuple[str, ...]
    truth: np.ndarray
    neighbours: int
    chance: float
    panels: tuple[Panel, ...]
