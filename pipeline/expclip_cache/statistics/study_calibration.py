"""Predictions of a study -> the calibration of every system on every test set."""

from collections.abc import Iterator, Mapping

import numpy as np

from expclip_cache.scoring import PredictionFile, softmax_percent
from expclip_cache.statistics.calibration import answers, calibration, reliability
from expclip_cache.statistics.calibration_results import CalibrationRow, ReliabilityRow, StudyCalibration
from expclip_cache.statistics.coverage import accuracy_at_coverage, confidence_at_coverage
from expclip_cache.statistics.items import classifiers_by_row
from expclip_cache.statistics.system import Row
from expclip_cache.statistics.systems import mean
from expclip_cache.statistics.temperature import fitted_temperature


def study_calibration(files: Mapping[str, Mapping[str, PredictionFile]]) -> StudyCalibration:
    """Measure the percentages that `predict` shows, with the labels of the test sets.

    Args:
        files: test set -> backbone -> its predictions.

    Raises:
        DataError: a file is damaged.
    """
    rows, bins = [], []
    for test_set, of_backbone in files.items():
        for backbone, file in of_backbone.items():
            for row, classifiers in classifiers_by_row(backbone, file.classifiers).items():
                similarities = [file.similarities(classifier) for classifier in classifiers]
                percent = [softmax_percent(each, file.logit_scale) for each in similarities]
                rows.append(_measured(test_set, row, file, similarities, percent))
                bins += _bins(test_set, row, np.concatenate(percent), np.tile(file.truth, len(percent)))
    return StudyCalibration(tuple(rows), tuple(bins))


def _measured(
    test_set: str, row: Row, file: PredictionFile, similarities: list[np.ndarray], percent: list[np.ndarray]
) -> CalibrationRow:
    truth = file.truth
    found = [calibration(each, truth) for each in percent]
    given = [answers(each, truth) for each in percent]
    temperatures = [fitted_temperature(each, file.logit_scale, truth) for each in similarities]
    tempered = [
        calibration(softmax_percent(each, file.logit_scale / temperature), truth).ece
        for each, temperature in zip(similarities, temperatures, strict=True)
    ]
    return CalibrationRow(
        test_set=test_set,
        **row.system._asdict(),
        prompt_type=row.prompt_type,
        items=len(truth),
        seeds=len(percent) if row.system.head else 0,
        accuracy=mean(one.accuracy for one in found),
        confidence=mean(one.confidence for one in found),
        ece=mean(one.ece for one in found),
        ece_if_calibrated=mean(one.ece_if_calibrated for one in found),
        nll=mean(one.nll for one in found),
        accuracy_80=mean(accuracy_at_coverage(*one, 80) for one in given),
        accuracy_50=mean(accuracy_at_coverage(*one, 50) for one in given),
        min_confidence_80=mean(confidence_at_coverage(confidence, 80) for confidence, _ in given),
        min_confidence_50=mean(confidence_at_coverage(confidence, 50) for confidence, _ in given),
        temperature=mean(temperatures),
        ece_at_temperature=mean(tempered),
    )


def _bins(test_set: str, row: Row, percent: np.ndarray, truth: np.ndarray) -> Iterator[ReliabilityRow]:
    found = reliability(*answers(percent, truth))
    for number, count in enumerate(found.items.tolist()):
        yield ReliabilityRow(
            test_set=test_set,
            **row.system._asdict(),
            prompt_type=row.prompt_type,
            bin=number + 1,
            answers=count,
            confidence=float(found.confidence[number]) if count else None,
            accuracy=float(found.accuracy[number]) if count else None,
        )
