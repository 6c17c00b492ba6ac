"""Confusion matrices, recall, calibration and examples of one head on one test set."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.reporting.page.content import SetSection
from expclip_cache.reporting.page.examples import ExampleReader
from expclip_cache.scoring import TestSetScores, recall
from expclip_cache.statistics import Row, Statistics, StudyCalibration, SystemScores


class SectionReader:
    """Makes the sections of the heads."""

    def __init__(
        self,
        scores: Sequence[TestSetScores],
        statistics: Statistics,
        calibration: StudyCalibration,
        examples: ExampleReader,
    ):
        self._scores = {(found.backbone, found.test_set): found for found in scores}
        self._statistics = statistics
        self._calibration = calibration
        self._examples = examples

    def read(self, row: SystemScores) -> SetSection:
        """The section behind a row of scores."""
        found = self._scores[row.backbone, row.test_set]
        measured = found.prompt_sets[row.prompts]
        heads = [head for head in measured.heads if (head.teacher, head.head) == (row.teacher, row.head)]
        clip = measured.clip[row.prompt_type]
        expclip = [head.confusions[row.prompt_type] for head in heads]
        changes = heads[0].changes
        system = Row(row.system, row.prompt_type)
        clip_calibration, clip_bins = self._calibration.of(row.test_set, system.plain_clip)
        calibration, bins = self._calibration.of(row.test_set, system)
        return SetSection(
            row=row,
            classes=found.classes,
            clip=row_percent(clip),
            expclip=row_percent(np.sum(expclip, axis=0)),
            clip_recall=recall(clip),
            clip_intervals=self._statistics.recall_intervals(row.test_set, system.plain_clip),
            expclip_recall=np.stack([recall(matrix) for matrix in expclip]),
            expclip_intervals=self._statistics.recall_intervals(row.test_set, system),
            clip_calibration=clip_calibration,
            calibration=calibration,
            clip_bins=clip_bins,
            bins=bins,
            seed=heads[0].seed,
            counts=changes["counts"],
            fixed=self._examples.read(changes["fixed"], row.test_set, found.classes),
            broken=self._examples.read(changes["broken"], row.test_set, found.classes),
        )


def row_percent(matrix: np.ndarray) -> np.ndarray:
    """Each row in percent of its sum; NaN for a class without items."""
    items = matrix.sum(axis=1, keepdims=True)
    return 100.0 * np.divide(matrix, items, out=np.full(matrix.shape, np.nan), where=items > 0)
