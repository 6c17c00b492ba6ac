"""One panel of a map: a test set as one classifier compares it with the class prompts."""

from dataclasses import dataclass

import numpy as np

from expclip_cache.maps.directions import centred, directions
from expclip_cache.maps.feature_map import Panel
from expclip_cache.maps.layout import layout
from expclip_cache.maps.neighbours import kept_share, nearest, own_class_share
from expclip_cache.scoring import confusion, uar


@dataclass(frozen=True, eq=False)
class Comparable:
    """What the panels of a map have in common.

    Attributes:
        features: (n, d) float32 raw image features of the whole test set.
        truth: (n,) int64 true classes.
        prompts: (p, d) raw text features, and (p,) class of each.
        shown: (m,) numbers of the items that are drawn.
        neighbours: k, how many nearest neighbours are counted.
    """

    features: np.ndarray
    truth: np.ndarray
    prompts: tuple[np.ndarray, np.ndarray]
    shown: np.ndarray
    neighbours: int


def draw_panel(test_set: Comparable, name: str, head: np.ndarray | None, predicted: np.ndarray, seed: int) -> Panel:
    """Place items and class prompts together, after centring each of the two, and count neighbours before it.

    Args:
        name: of the head; empty for plain CLIP.
        head: W (t, d), or None for plain CLIP.
        predicted: (n,) int64 predictions.
        seed: of t-SNE.

    Raises:
        DataError: all features are the same.
        ImportError: scikit-learn is not installed.
    """
    shown, k = test_set.shown, test_set.neighbours
    images, prompts = directions(test_set.features, *test_set.prompts, head)
    items, marks = centred(images), centred(prompts)
    places = layout(np.concatenate([items[shown], marks]), seed)
    near = nearest(images[shown], k)
    return Panel(
        head=name,
        items=places[: len(shown)],
        prompts=places[len(shown) :],
        predicted=predicted[shown],
        uar=_uar(test_set.truth, predicted, len(marks)),
        centred_uar=_uar(test_set.truth, (items @ marks.T).argmax(axis=1), len(marks)),
        own_class=own_class_share(near, test_set.truth[shown]),
        kept=kept_share(near, nearest(places[: len(shown)], k)),
    )


def _uar(truth: np.ndarray, predicted: np.ndarray, c: int) -> float:
    return uar(confusion(truth, predicted, c))
