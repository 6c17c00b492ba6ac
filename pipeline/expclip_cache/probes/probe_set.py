"""A labelled test set as probes see it: features, labels, and what zero-shot classifiers make of the same items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.cache import FeatureCache, read_stored_manifest
from expclip_cache.scoring import MIN_NORM, PredictionFile, refuse_unlabelled


class ZeroShot(NamedTuple):
    """A zero-shot classifier; its seeds count as one. `head` and `teacher` are empty for plain CLIP."""

    prompts: str
    prompt_type: int
    teacher: str
    head: str


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """The n items of a test set that have features.

    Attributes:
        name: of the test set; of the set whose folds they are, if the study has several.
        classes: c names; labels index them.
        features: (n, d) float64, see `probe_features`.
        labels: (n,) int64.
        images: (n,) str, keys; items from the same image or clip have the same key in every set.
        folds: (n,) int64, the number of the fold that an item comes from; 0 for a set without folds.
        similarities: classifier -> (s, n, c) float32 similarities to the classes, for each of its seeds.
    """

    name: str
    classes: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    folds: np.ndarray
    similarities: Mapping[ZeroShot, np.ndarray]

    def labels_among(self, classes: Sequence[str]) -> np.ndarray:
        """(n,) int64 indices into some classes; -1 for an item of another class."""
        numbers = {name: number for number, name in enumerate(classes)}
        return np.array([numbers.get(name, -1) for name in self.classes])[self.labels]

    def right_among(self, classes: Sequence[str], rows: np.ndarray) -> dict[ZeroShot, np.ndarray]:
        """What each zero-shot classifier gets right when it chooses among some classes, all of them of this set.

        Args:
            classes: names.
            rows: (m,) numbers of items of these classes.

        Returns:
            (m,) float64, the share of the classifier's seeds that are right.
        """
        columns, truth = [self.classes.index(name) for name in classes], self.labels_among(classes)[rows]
        return {
            classifier: (found[:, rows][:, :, columns].argmax(axis=2) == truth).mean(axis=0)
            for classifier, found in self.similarities.items()
        }


def common_classes(first: ProbeSet, second: ProbeSet) -> tuple[str, ...]:
    """The classes of both sets, in the order of the second."""
    return tuple(name for name in second.classes if name in first.classes)


def read_probe_set(name: str, parts: Sequence[tuple[FeatureCache, PredictionFile]]) -> ProbeSet:
    """Read a test set.

    Args:
        name: of the set.
        parts: the features and the zero-shot predictions of the set, or of each of its folds. Of the predictions,
            those under the highest type of the first prompt set are read.

    Raises:
        CacheError: a cache is damaged.
        DataError: a cache has no labels, or the predictions are damaged or of other items.
    """
    for images, file in parts:
        refuse_unlabelled(images)
        if file.classes != images.classes or not np.array_equal(file.rows, images.good_rows):
            raise DataError(f"{images}: the predictions are of other items. Run `dvc repro scores`.")
    found = [_zero_shot(file) for _, file in parts]
    return ProbeSet(
        name=name,
        classes=parts[0][0].classes,
        features=np.concatenate([probe_features(images) for images, _ in parts]),
        labels=np.concatenate([images.labels[images.good_rows].astype(np.int64) for images, _ in parts]),
        images=np.concatenate([_image_keys(images) for images, _ in parts]),
        folds=np.repeat(np.arange(len(parts)), [len(images.good_rows) for images, _ in parts]),
        similarities={one: np.concatenate([each[one] for each in found], axis=1) for one in found[0]},
    )


def probe_features(images: FeatureCache) -> np.ndarray:
    """(n, d) float64 features of the good rows at unit length: CLIP compares directions, and so do probes.

    The length of a raw feature says how the image was made more than what it shows: it differs between photographs and
    grey ones, and the mean over a clip's frames is shorter. At unit length one l2 strength also means the same for
    every backbone.
    """
    features = images.item_vectors(images.good_rows).astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), MIN_NORM)


def _image_keys(images: FeatureCache) -> np.ndarray:
    """(n,) keys of the good rows: their content. Rows whose content is unknown have keys of their own."""
    unknown = [f"{images} {row}" for row in range(len(images))]
    manifest = read_stored_manifest(images.store)
    if manifest is None:
        return np.array(unknown)[images.good_rows]
    keys = [row.digest or own for row, own in zip(manifest.rows, unknown, strict=True)]
    return np.array(keys)[images.good_rows]


def _zero_shot(file: PredictionFile) -> dict[ZeroShot, np.ndarray]:
    """The similarities of each classifier under the highest type of the first prompt set."""
    first = file.classifiers[0].prompts
    highest = max(one.prompt_type for one in file.classifiers if one.prompts == first)
    seeds: dict[ZeroShot, list[np.ndarray]] = {}
    for one in file.classifiers:
        if (one.prompts, one.prompt_type) == (first, highest):
            classifier = ZeroShot(one.prompts, one.prompt_type, one.teacher, one.head)
            seeds.setdefault(classifier, []).append(file.similarities(one))
    return {classifier: np.stack(found) for classifier, found in seeds.items()}
