"""The calibration of a study: measures of every system on every test set, and the bins behind them."""

from dataclasses import dataclass
from functools import cached_property

from expclip_cache.base import DataError
from expclip_cache.statistics.calibration import BINS
from expclip_cache.statistics.system import Row, System


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
                f"results/statistics: expected {test_set} with {what}, found other "
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
