"""The square table: train on each test set, test on every other, and by cross-validation on its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from expclip_cache.probes.probe import can_train, predict, train_probe
from expclip_cache.probes.probe_set import ProbeSet, ZeroShot, common_classes
from expclip_cache.probes.settings import ProbeSettings
from expclip_cache.probes.splits import stratified_folds

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: a probe and the zero-shot classifiers on the same n items.

    Attributes:
        trained_on, test_set: names.
        classes: c names, those of both sets.
        truth: (n,) int64 true classes, indices into these.
        predicted: (n,) int64 predictions of the probe.
        zero_shot: classifier -> (n,) float64 share of its seeds that are right.
        trained_items: of each probe of the cell.
        l2: of each probe of the cell.
    """

    trained_on: str
    test_set: str
    classes: tuple[str, ...]
    truth: np.ndarray
    predicted: np.ndarray
    zero_shot: dict[ZeroShot, np.ndarray]
    trained_items: tuple[int, ...]
    l2: tuple[float, ...]

    @property
    def within(self) -> bool:
        """Whether it was trained and tested on parts of one set."""
        return self.trained_on == self.test_set


@dataclass(frozen=True)
class NoCell:
    """Why a cell is empty."""

    trained_on: str
    test_set: str
    reason: str


def square(sets: Sequence[ProbeSet], settings: ProbeSettings) -> Iterator[Cell | NoCell]:
    """Every cell, row by row; a row is a set to train on."""
    for train in sets:
        trained: dict[bytes, tuple[LogisticRegression, float]] = {}
        for test in sets:
            if train is test:
                yield _within(train, settings)
            else:
                yield _across(train, test, settings, trained)


def _within(own: ProbeSet, settings: ProbeSettings) -> Cell | NoCell:
    """Cross-validation over the set's own folds, if the study has several of them, or else over stratified ones.

    An item is predicted once, by a probe that saw neither it nor another copy of its image.
    """
    seed = [settings.seed, crc32(own.name.encode())]
    folds = own.folds if own.folds.any() else stratified_folds(own.labels, settings.folds, seed)
    predicted, items, strengths = np.empty_like(own.labels), [], []
    for fold in np.unique(folds):
        tested = folds == fold
        rows = np.flatnonzero(~tested & ~np.isin(own.images, own.images[tested]))
        if not can_train(own.labels[rows]):
            return NoCell(own.name, own.name, "too few items for cross-validation")
        probe, l2 = train_probe(own.features[rows], own.labels[rows], seed)
        predicted[tested] = predict(probe, own.features[tested])
        items.append(len(rows))
        strengths.append(l2)
    every = np.arange(len(own.labels))
    right = own.right_among(own.classes, every)
    return Cell(own.name, own.name, own.classes, own.labels, predicted, right, tuple(items), tuple(strengths))


def _across(
    train: ProbeSet,
    test: ProbeSet,
    settings: ProbeSettings,
    trained: "dict[bytes, tuple[LogisticRegression, float]]",
) -> Cell | NoCell:
    """A probe on all items of one set but those whose image is in the other, on all items of the other.

    Of both sets, the items of the classes that they have in common.

    Args:
        trained: probes on the first set, by what they were trained on; a new one is added.
    """
    classes = common_classes(train, test)
    labels, truth = train.labels_among(classes), test.labels_among(classes)
    rows = np.flatnonzero((labels >= 0) & ~np.isin(train.images, test.images))
    tested = np.flatnonzero(truth >= 0)
    if not can_train(labels[rows]) or not len(tested):
        shared = int((labels >= 0).sum()) - len(rows)
        reason = f"{shared} items have their image in both" if shared else "too few items of classes that both have"
        return NoCell(train.name, test.name, reason)
    key = labels[rows].tobytes() + rows.tobytes()
    if key not in trained:
        seed = [settings.seed, crc32(train.name.encode())]
        trained[key] = train_probe(train.features[rows], labels[rows], seed)
    probe, l2 = trained[key]
    predicted = predict(probe, test.features[tested])
    right = test.right_among(classes, tested)
    return Cell(train.name, test.name, classes, truth[tested], predicted, right, (len(rows),), (l2,))
