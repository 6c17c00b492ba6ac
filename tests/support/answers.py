"""What systems make of test items, from confusion matrices."""

from collections.abc import Mapping, Sequence

import numpy as np

from expclip_cache.base.classes import CANONICAL
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.scoring.results import TestSetScores
from expclip_cache.statistics.items import Answers
from expclip_cache.statistics.results import Statistics
from expclip_cache.statistics.settings import StatisticsSettings
from expclip_cache.statistics.study import study_statistics
from expclip_cache.statistics.system import Row, System


def answers_of(matrices: Sequence[np.ndarray]) -> Answers:
    """The items of each class in the order of the predictions; a matrix for each seed, with the same items."""
    truth = np.repeat(np.arange(len(matrices[0])), matrices[0].sum(axis=1))
    predicted = [np.repeat(np.tile(np.arange(len(one)), len(one)), one.ravel()) for one in matrices]
    return Answers(
        np.arange(len(truth)), truth, np.stack(predicted) == truth, tuple(matrices), CANONICAL[: len(matrices[0])]
    )


def statistics_of(scores: Sequence[TestSetScores], test_sets: Mapping[str, DatasetSettings]) -> Statistics:
    """The statistics of a study of which only the confusion matrices are known."""
    answers: dict[str, dict[Row, Answers]] = {}
    for found in scores:
        matrices: dict[Row, list[np.ndarray]] = {}
        for one, matrix in found.confusions():
            row = Row(System(found.backbone, one.teacher, one.head, one.prompts), one.prompt_type)
            matrices.setdefault(row, []).append(matrix)
        answers.setdefault(found.test_set, {}).update({row: answers_of(own) for row, own in matrices.items()})
    return study_statistics(answers, test_sets, StatisticsSettings(resamples=200))
