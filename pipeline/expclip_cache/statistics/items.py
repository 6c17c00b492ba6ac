"""Which items of a test set each system classifies correctly, from the files of predictions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.scoring import CALIBRATED, Classifier, Confusion, PredictionFile, confusion
from expclip_cache.statistics.system import Row, System


@dataclass(frozen=True, eq=False)
class Answers:
    """What one system makes of the n items of a test set.

    Attributes:
        rows: (n,) int64 rows of the items in their cache.
        truth: (n,) int64 true classes.
        right: (s, n) bool, which items each of the system's heads classifies correctly; s is 1 for plain CLIP.
        confusions: s (c, c) confusion matrices.
        classes: c class names.
    """

    rows: np.ndarray
    truth: np.ndarray
    right: np.ndarray
    confusions: tuple[Confusion, ...]
    classes: tuple[str, ...]

    @property
    def share_right(self) -> np.ndarray:
        """(n,) float64, for each item the share of the heads that classify it correctly."""
        return self.right.mean(axis=0)

    @property
    def c(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def of_rows(self, rows: np.ndarray) -> "Answers":
        """Those for some rows, all of which have to be there; without confusion matrices of their own."""
        places = np.searchsorted(self.rows, rows)
        return Answers(rows, self.truth[places], self.right[:, places], self.confusions, self.classes)


def read_answers(files: Mapping[str, PredictionFile], own_answers: Iterable[PredictionFile] = ()) -> dict[Row, Answers]:
    """The answers of every system for one test set, in the order of the study.

    Args:
        files: backbone -> its predictions for the test set.
        own_answers: the predictions of LLMs that answer by themselves.

    Raises:
        DataError: a file is damaged, or the backbones' files are not about the same items.
    """
    found = {}
    for backbone, file in (*files.items(), *(("", file) for file in own_answers)):
        truth, c = file.truth, len(file.classes)
        for row, classifiers in classifiers_by_row(backbone, file.classifiers).items():
            predicted = np.stack([file.predicted(classifier) for classifier in classifiers])
            confusions = tuple(confusion(truth, one, c) for one in predicted)
            found[row] = Answers(file.rows, truth, predicted == truth, confusions, file.classes)
    return found


def common_items(first: Answers, second: Answers) -> tuple[Answers, Answers]:
    """The same for those items that both have: an item that one encoder could not read is left out.

    Raises:
        DataError: an item has two true classes.
    """
    if not np.array_equal(first.rows, second.rows):
        rows = np.intersect1d(first.rows, second.rows, assume_unique=True)
        first, second = first.of_rows(rows), second.of_rows(rows)
    if not np.array_equal(first.truth, second.truth):
        raise DataError(
            "results/predictions: two backbones have different true classes for the same items of a test set, so their "
            "features were made from different labels. Run `dvc repro images scores`."
        )
    return first, second


def classifiers_by_row(backbone: str, classifiers: Sequence[Classifier]) -> dict[Row, list[Classifier]]:
    """The classifiers of each row, one for each seed, in their order."""
    seeds: dict[Row, list[Classifier]] = {}
    for one in classifiers:
        row = Row(System(backbone, one.teacher, one.head, one.prompts), one.prompt_type)
        seeds.setdefault(row, []).append(one)
    return seeds


def controlled_pairs(rows: Iterable[Row]) -> list[tuple[Row, Row]]:
    """The pairs of rows that differ in one thing: the backbone, the head (or its teacher), or the prompts.

    An LLM's own answers differ in the rule or in the LLM. Under the rule `calibrated` they are also compared with
    every plain CLIP and head, under the highest prompt type of each prompt set.

    The second of a pair is what the first is compared with: plain CLIP, or else the one that comes first in the study.
    """
    rows = list(rows)
    highest: dict[str, int] = {}
    for system, kind in rows:
        highest[system.prompts] = max(kind, highest.get(system.prompts, 0))

    def compared(row: Row, other: Row) -> bool:
        if row.system.is_own_answers == other.system.is_own_answers:
            return _differ_in_one_thing(row, other)
        answers = row.system.is_own_answers and row.system.head == CALIBRATED
        return answers and other.prompt_type == highest[other.system.prompts]

    return [(row, other) for k, row in enumerate(rows) for other in rows[:k] if compared(row, other)]


def _differ_in_one_thing(row: Row, other: Row) -> bool:
    a, b = row.system, other.system
    heads = (a.teacher, a.head) != (b.teacher, b.head)
    if heads and a.head and b.head and a.teacher != b.teacher and a.head != b.head:
        return False
    prompts = (a.prompts, row.prompt_type) != (b.prompts, other.prompt_type)
    return (a.backbone != b.backbone) + heads + prompts == 1
