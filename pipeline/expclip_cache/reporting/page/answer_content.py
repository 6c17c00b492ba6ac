"""What the report page shows of LLMs' own answers. No HTML here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expclip_cache.reporting.page.examples import FaceExample
from expclip_cache.scoring import Greedy
from expclip_cache.statistics import Difference, Interval, SystemScores


@dataclass(frozen=True)
class AnswerSection:
    """One LLM's own answers on one test set, raw and calibrated.

    Attributes:
        row: the scores of the calibrated answers.
        raw_row: those of the raw ones.
        classes: c names.
        raw, calibrated: (c, c) percent of the true class.
        raw_recall, calibrated_recall: (c,) percent, NaN for a class without items.
        raw_intervals, calibrated_intervals: c intervals of these over the test items, None for a class without.
        counts: items that calibration left `right`, `fixed`, `broken` or left `wrong`.
        fixed, broken: examples; raw answers stand in the place of CLIP's, calibrated ones in that of Exp-CLIP's.
    """

    row: SystemScores
    raw_row: SystemScores
    classes: tuple[str, ...]
    raw: np.ndarray
    calibrated: np.ndarray
    raw_recall: np.ndarray
    calibrated_recall: np.ndarray
    raw_intervals: tuple[Interval | None, ...]
    calibrated_intervals: tuple[Interval | None, ...]
    counts: Mapping[str, int]
    fixed: tuple[FaceExample, ...]
    broken: tuple[FaceExample, ...]


@dataclass(frozen=True)
class Compared:
    """The calibrated answers minus another system.

    Attributes:
        name: of the other system.
        differences: one for each test set, then the mean over several.
    """

    name: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class AnswerView:
    """One LLM's own answers.

    Attributes:
        name: its key in `answers:`.
        question: that it is asked.
        orders: of the names listed in it.
        calibration_faces: training faces that its answers are calibrated with.
        rows: rule -> its scores on every test set, then the mean over several.
        greedy: test set -> how far generated texts agree; empty if nothing was generated.
        compared: with plain CLIP and every head, under the highest prompt type of each prompt set.
        sets: a section for each test set.
    """

    name: str
    question: str
    orders: int
    calibration_faces: int
    rows: Mapping[str, tuple[SystemScores, ...]]
    greedy: Mapping[str, Greedy]
    compared: tuple[Compared, ...]
    sets: tuple[AnswerSection, ...]
