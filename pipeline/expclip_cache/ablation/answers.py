"""Which items of a test set each choice classifies correctly."""

from collections.abc import Mapping

import numpy as np

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Cell, Choice, Repeat
from expclip_cache.ablation.kept_predictions import PredictedClasses
from expclip_cache.scoring import confusion, uar, war
from expclip_cache.statistics import Answers


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
        """The answers of one choice for one test set; its heads are the cells."""
        images, every = self._study.images(choice.backbone, test_set), self._study.truth(choice.backbone, test_set)
        rows = images.good_rows
        truth = every[rows]
        predicted = np.stack([self._done[Cell(choice, repeat)][test_set][rows] for repeat in self.repeats[choice]])
        confusions = tuple(confusion(truth, one, len(images.classes)) for one in predicted)
        return Answers(rows, truth, predicted == truth, confusions, images.classes)


def scores_of(answers: Answers) -> np.ndarray:
    """(s, 2) UAR and WAR of each cell, in percent."""
    return np.array([(uar(matrix), war(matrix)) for matrix in answers.confusions])
