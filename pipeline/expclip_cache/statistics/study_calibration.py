"""Predictions of a study -> the calibration of every system on every test set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.scoring import PredictionFile, softmax_percent
from expclip_cache.statistics.calibration import BINS, answers, calibration, reliability
from expclip_cache.statistics.coverage import accuracy_at_coverage, confidence_at_coverage
from expclip_cache.statistics.items import classifiers_by_row
from expclip_cache.statistics.system import Row, System
from expclip_cache.statistics.systems import mean
from expclip_cache.statistics.temperature import fitted_temperature


@dataclass(frozen=True)
class CalibrationRow:
    """One system on one test set under one prompt type. Every measure is the mean over the seeds.

    Attributes:
        test_set: name of the dataset.
        backbone, teacher, head, prompts, prompt_type: see `System`.
        items: scored items.
        seeds: heads; 0 for plain CLIP.
        accuracy, confidence, ece, ece_if_calibrated, nll: see `Calibration`.
        accuracy_80, accuracy_50: accuracy in percent of the 80 and 50 percent of the answers that are most confident.
        min_confidence_80, min_confidence_50: the value of `predict --min-confidence` that keeps these answers.
        temperature: the one that the labels of these very items fit best.
        ece_at_temperature: ece with it, in points.
    """

    test_set: str
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    items: int
    seeds: int
    accuracy: float
    confidence: float
    ece: float
    ece_if_calibrated: float
    nll: float
    accuracy_80: float
    accuracy_50: float
    min_confidence_80: float
    min_confidence_50: float
    temperature: float
    ece_at_temperature: float

    @property
    def row(self) -> Row:
        """What was measured."""
        return Row(System(self.backbone, self.teacher, self.head, self.prompts), self.prompt_type)


@dataclass(frozen=True)
class ReliabilityRow:
    """The answers of one system on one test set that are in one bin, those of all seeds together.

    Attributes:
        test_set, backbone, teacher, head, prompts, prompt_type: see `CalibrationRow`.
        bin: 1 to 15; bin k has confidences above (k - 1) / 15 and up to k / 15.
        answers: how many.
        confidence: mean confidence in percent; None for a bin without answers.
        accuracy: in percent; None likewise.
    """

    test_set: str
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    bin: int
    answers: int
    confidence: float | None
    accuracy: float | None

    @property
    def row(self) -> Row:
        """What was measured."""
        return Row(System(self.backbone, self.teacher, self.head, self.prompts), self.prompt_type)


@dataclass(frozen=True)
class StudyCalibration:
    """The calibration of a study.

    Attributes:
        rows: one for each test set, system and prompt type.
        bins: 15 for each of these.
    """

    rows: tuple[CalibrationRow, ...]
    bins: tuple[ReliabilityRow, ...]

    def of(self, test_set: str, row: Row) -> tuple[CalibrationRow, tuple[ReliabilityRow, ...]]:
        """One row and its bins.

        Raises:
            DataError: there are none.
        """
        found = self._by_row.get((test_set, row))
        bins = tuple(self._bins_by_row.get((test_set, row), ()))
        if found is None or len(bins) != BINS:
            what = ", ".join([*filter(None, row.system), f"prompt type {row.prompt_type}"])
            raise DataError(
                f"results/calibration.csv and results/reliability.csv: expected {test_set} with {what}, found other "
                "rows. They are of another study; run `dvc repro`."
            )
        return found, bins

    @cached_property
    def _by_row(self) -> dict[tuple[str, Row], CalibrationRow]:
        return {(one.test_set, one.row): one for one in self.rows}

    @cached_property
    def _bins_by_row(self) -> dict[tuple[str, Row], list[ReliabilityRow]]:
        found: dict[tuple[str, Row], list[ReliabilityRow]] = {}
        for one in self.bins:
            found.setdefault((one.test_set, one.row), []).append(one)
        return found


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
