"""What the report page shows, and what it is made from. No HTML here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import StageTime
from expclip_cache.cache import Json
from expclip_cache.heads import Fit
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.scoring import ScoreRow


@dataclass(frozen=True)
class ReportInputs:
    """What the page is made from: one run of the pipeline.

    Attributes:
        scores: test set -> folder of its results, in the order of the page.
        roots: test set -> folder of its images, None if they are not on this machine.
        training: folder of the training's results.
        trained_on: name of the training set.
        heads: how heads were fitted -> their names, see `TrainSettings.heads`.
        settings: section of params.yaml -> setting -> value; shown unchanged.
        versions: library -> version.
    """

    scores: Mapping[str, Path]
    roots: Mapping[str, Path | None]
    training: Path
    trained_on: str
    heads: Mapping[Fit, Sequence[str]]
    settings: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """One classifier's answer for one image: its top three classes with percentages, and whether the first is right."""

    ranked: tuple[tuple[str, float], ...]
    right: bool


@dataclass(frozen=True)
class FaceExample:
    """An item that the head fixed or broke; `image` is a data URI, or None if the image is not on this machine."""

    path: str
    truth: str
    image: str | None
    clip: Answer
    expclip: Answer


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
    """One test set, under its highest prompt type.

    Attributes:
        name: of the test set.
        rows: its scores under every prompt type and with every kind of head.
        classes: c names.
        prompt_type: the type shown.
        fit: how the heads shown were fitted.
        heads: s names of the heads whose confusion matrices are summed.
        clip, expclip: (c, c) percent of the true class.
        clip_recall: (c,) percent, NaN for a class without items.
        expclip_recall: (s, c) percent.
        head: the head of the examples.
        counts: items that are `right`, `fixed`, `broken` and `wrong` with that head.
        fixed, broken: the examples.
    """

    name: str
    rows: tuple[ScoreRow, ...]
    classes: tuple[str, ...]
    prompt_type: int
    fit: str
    heads: tuple[str, ...]
    clip: np.ndarray
    expclip: np.ndarray
    clip_recall: np.ndarray
    expclip_recall: np.ndarray
    head: str
    counts: Mapping[str, int]
    fixed: tuple[FaceExample, ...]
    broken: tuple[FaceExample, ...]

    @property
    def row(self) -> ScoreRow:
        """The scores of the prompt type and heads shown."""
        return next(row for row in self.rows if (row.prompt_type, row.head) == (self.prompt_type, self.fit))


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes:
        sets: one section per test set.
        compared: rows with published scores, and for sets with folds each fold, their mean and their pool.
        trained_on: name of the training set.
        losses: name of a head -> loss of each epoch; empty if no head was trained by gradient descent.
        training: metrics of the training by name.
        sources: the caches behind the numbers.
        skipped: inputs without features.
        settings: section of params.yaml -> setting -> value.
        versions: library -> version.
        times: of the stages that ran on this machine.
    """

    sets: tuple[SetSection, ...]
    compared: tuple[Comparison, ...]
    trained_on: str
    losses: Mapping[str, Sequence[float]]
    training: Mapping[str, Json]
    sources: tuple[CacheSource, ...]
    skipped: tuple[SkippedInput, ...]
    settings: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]
    times: tuple[StageTime, ...]

    @property
    def rows(self) -> tuple[ScoreRow, ...]:
        """Every row of the scores table."""
        return tuple(row for section in self.sets for row in section.rows)
