"""What the report page shows, and what it is made from. No HTML here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.cache import Json
from expclip_cache.datasets import Root
from expclip_cache.probes import ProbeResults
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.other_systems import OtherSystems
from expclip_cache.reporting.page.answer_content import AnswerView
from expclip_cache.reporting.page.examples import FaceExample
from expclip_cache.reporting.weakest_class import Recalls
from expclip_cache.scoring import AnswerScores, TestSetScores
from expclip_cache.statistics import (
    CalibrationRow,
    Difference,
    Interval,
    ReliabilityRow,
    Statistics,
    StudyCalibration,
    System,
    SystemScores,
)
from expclip_cache.teachers import TeacherResults


@dataclass(frozen=True)
class ReportInputs:
    """What the page is made from: one study.

    Attributes:
        scores: every backbone on every test set, in the order of the page.
        answers: every LLM's own answers on every test set, likewise.
        statistics: of these scores.
        calibration: of the percentages behind them.
        roots: test set -> folder or address of its images, None where they cannot be reached.
        heads: folder of the results of the heads: metrics.json, details.json and loss.csv.
        trained_on: name of the training set.
        drawn: names of the test sets whose faces are no photographs.
        settings: section of params.yaml -> setting -> value; shown unchanged.
        versions: library -> version.
        probes: results of probes on the same features; None if there are none.
        stale_probes: a sentence without its full stop if there are some of other features; else empty.
        teachers, stale_teachers: the same of the teachers compared.
    """

    scores: Sequence[TestSetScores]
    statistics: Statistics
    calibration: StudyCalibration
    roots: Mapping[str, Root | None]
    heads: Path
    trained_on: str
    drawn: Collection[str]
    settings: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]
    probes: ProbeResults | None = None
    stale_probes: str = ""
    answers: Sequence[AnswerScores] = ()
    teachers: TeacherResults | None = None
    stale_teachers: str = ""


@dataclass(frozen=True)
class SkippedInput:
    """A row that could not be encoded."""

    dataset: str
    row: int
    path: str
    reason: str


@dataclass(frozen=True)
class CacheSource:
    """A cache that numbers on the page were computed from."""

    name: str
    rows: int
    fingerprint: str
    settings: Mapping[str, Json]
    encoder: Mapping[str, Json]


@dataclass(frozen=True)
class SetSection:
    """One test set with one head, under the highest prompt type.

    Attributes:
        row: the scores.
        classes: c names.
        clip, expclip: (c, c) percent of the true class; Exp-CLIP's is of the sum over the seeds.
        clip_recall: (c,) percent, NaN for a class without items.
        clip_intervals: c intervals of these over the test items, None for a class without.
        expclip_recall: (s, c) percent.
        expclip_intervals: c intervals of the means over the seeds.
        clip_calibration, calibration: of the percentages, with CLIP and with Exp-CLIP.
        clip_bins, bins: of the reliability diagram, likewise.
        seed: of the examples; None for a head without seeds.
        counts: items that are `right`, `fixed`, `broken` and `wrong` with that seed.
        fixed, broken: the examples.
    """

    row: SystemScores
    classes: tuple[str, ...]
    clip: np.ndarray
    expclip: np.ndarray
    clip_recall: np.ndarray
    clip_intervals: tuple[Interval | None, ...]
    expclip_recall: np.ndarray
    expclip_intervals: tuple[Interval | None, ...]
    clip_calibration: CalibrationRow
    calibration: CalibrationRow
    clip_bins: tuple[ReliabilityRow, ...]
    bins: tuple[ReliabilityRow, ...]
    seed: int | None
    counts: Mapping[str, int]
    fixed: tuple[FaceExample, ...]
    broken: tuple[FaceExample, ...]


@dataclass(frozen=True)
class View:
    """What the page shows of one head under one prompt set; a reader chooses between the views.

    Attributes:
        name: of the system, as short as the study allows.
        system: what classifies.
        rows: its scores on every test set under the highest prompt type.
        clip: those of plain CLIP.
        mean: over the test sets; the only test set's scores if there is one.
        paired: the head minus plain CLIP: on every test set, then means and pools.
        sets: a section for each of these; empty for a view beyond the `most_sections` of `read_page`.
        compared: rows with published scores, and for sets with folds each fold, their mean and their pool.
        losses: name of a seed -> loss of each epoch; empty for a head that was not trained by gradient descent.
        training: metrics of the fit by name.
    """

    name: str
    system: System
    rows: tuple[SystemScores, ...]
    clip: tuple[SystemScores, ...]
    mean: SystemScores
    paired: tuple[Difference, ...]
    sets: tuple[SetSection, ...]
    compared: tuple[Comparison, ...]
    losses: Mapping[str, Sequence[float]]
    training: Mapping[str, Json]


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes:
        scores: every system on every test set under every prompt type.
        statistics: of these scores.
        recalls: of every class of every system.
        drawn: what kind of faces the test sets have, in words; empty if all are photographs.
        no_clips: the backbones that are no CLIP, see `other_models`.
        views: one for each head under each prompt set.
        answers: one for each LLM that answers by itself.
        others: the other systems with published scores.
        trained_on: name of the training set.
        sources: the caches behind the numbers.
        skipped: inputs without features.
        settings: section of params.yaml -> setting -> value.
        versions: library -> version.
        probes, stale_probes, teachers, stale_teachers: see `ReportInputs`.
    """

    scores: tuple[SystemScores, ...]
    statistics: Statistics
    recalls: Recalls
    drawn: str
    no_clips: tuple[str, ...]
    views: tuple[View, ...]
    answers: tuple[AnswerView, ...]
    others: OtherSystems
    trained_on: str
    sources: tuple[CacheSource, ...]
    skipped: tuple[SkippedInput, ...]
    settings: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]
    probes: ProbeResults | None = None
    stale_probes: str = ""
    teachers: TeacherResults | None = None
    stale_teachers: str = ""
