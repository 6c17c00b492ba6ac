"""Which items of a test set each choice classifies correctly."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Cell, Choice, Repeat
from expclip_cache.ablation.kept_predictions import PredictedClasses
from expclip_cache.base import DataError
from expclip_cache.scoring import confusion, uar, war


@dataclass(frozen=True, eq=False)
class Answers:
    """What a choice makes of a test set of n rows and c classes.

    Attributes:
        truth: (n,) int64 true classes, -1 for a row without features.
        predicted: (s, n) int16, one line per cell.
        c: number of classes.
    """

    truth: np.ndarray
    predicted: np.ndarray
    c: int

    @property
    def scored(self) -> np.ndarray:
        """(n,) bool, the rows with features."""
        return self.truth >= 0

    @property
    def share_right(self) -> np.ndarray:
        """(n,) float64, share of the cells that are right."""
        return (self.predicted == self.truth).mean(axis=0)

    @property
    def scores(self) -> list[tuple[float, float]]:
        """UAR and WAR of each cell, in percent."""
        truth = self.truth[self.scored]
        matrices = [confusion(truth, predicted[self.scored], self.c) for predicted in self.predicted]
        return [(uar(matrix), war(matrix)) for matrix in matrices]

    def only(self, number: int) -> "Answers":
        """Those of one cell."""
        return Answers(self.truth, self.predicted[number : number + 1], self.c)

    def limited_to(self, rows: np.ndarray) -> "Answers":
        """Those about some of the rows: (n,) bool."""
        return Answers(np.where(rows, self.truth, -1), self.predicted, self.c)


class AllAnswers:
    """The answers of every choice.

    Attributes:
        repeats: choice -> its cells, in order; a choice without any is not there.
        test_sets: names.
    """

    def __init__(self, study: CachedStudy, done: Mapping[Cell, PredictedClasses]):
        self._study, self._done = study, done
        self.test_sets = study.test_sets
        self.repeats: dict[Choice, list[Repeat]] = {}
        for cell in done:
            self.repeats.setdefault(cell.choice, []).append(cell.repeat)
        for repeats in self.repeats.values():
            repeats.sort(key=lambda repeat: tuple(-1 if part is None else part for part in repeat))

    def of(self, choice: Choice, test_set: str) -> Answers:
        """The answers of one choice for one test set."""
        predicted = [self._done[Cell(choice, repeat)][test_set] for repeat in self.repeats[choice]]
        classes = self._study.images(choice.backbone, test_set).classes
        return Answers(self._study.truth(choice.backbone, test_set), np.stack(predicted), len(classes))


def common_rows(first: Answers, second: Answers, test_set: str) -> np.ndarray:
    """(n,) bool, the rows that both answered.

    Raises:
        DataError: the two are not about the same items.
    """
    if len(first.truth) == len(second.truth):
        both = first.scored & second.scored
        if np.array_equal(first.truth[both], second.truth[both]):
            return both
    raise DataError(
        f"{test_set}: two backbones have features of other items or labels, so their scores cannot be compared. Run "
        "`dvc repro images`."
    )
