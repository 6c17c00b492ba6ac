"""The results of probes: rows, and their files square.csv and few_shot.csv."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expclip_cache.base import make_folder, read_csv_rows, rows_to_csv, write_atomically

Method = Literal["probe", "zero-shot"]

SQUARE, FEW_SHOT = "square.csv", "few_shot.csv"
MADE_BY = "expclip-cache probe"


@dataclass(frozen=True)
class SquareRow:
    """One classifier in one cell of the square; scores in percent.

    Attributes:
        backbone: whose features.
        trained_on: the test set that the probe of this cell was trained on; zero-shot classifiers were not, but are
            given on the same items.
        test_set: what it was tested on.
        method: probe or zero-shot.
        prompts, prompt_type, teacher, head: see `Classifier`; empty for a probe.
        classes: how many are compared: those of both sets.
        items: tested items.
        trained_items: that a probe was trained on, in cross-validation the mean over the folds; None for zero-shot.
        folds: of the cross-validation within a set; None across sets.
        l2: strengths, one for each probe of the cell, separated by spaces; empty for zero-shot.
        seed: of the probes.
        uar, war: in percent, for zero-shot the mean over the seeds of a head.
        uar_low, uar_high, war_low, war_high: intervals over test items.
        confidence: of these, in percent.
        made_from: see `probes_made_from`.
    """

    backbone: str
    trained_on: str
    test_set: str
    method: Method
    prompts: str
    prompt_type: int | None
    teacher: str
    head: str
    classes: int
    items: int
    trained_items: int | None
    folds: int | None
    l2: str
    seed: int
    uar: float
    uar_low: float
    uar_high: float
    war: float
    war_low: float
    war_high: float
    confidence: float
    made_from: str

    @property
    def within(self) -> bool:
        """Whether it was trained and tested on parts of one set."""
        return self.trained_on == self.test_set


@dataclass(frozen=True)
class FewShotRow:
    """One classifier on one test set beside a number of shots; scores in percent.

    Attributes:
        backbone, trained_on, test_set, method, prompts, prompt_type, teacher, head, classes: see `SquareRow`.
        shots: items of each class that the probe was trained on.
        draws: of these items; also for zero-shot, which is given on the same test items.
        items: tested items, the mean over the draws.
        l2: strength; empty for zero-shot.
        seed: of the draws.
        uar, war: mean over the draws.
        uar_std, war_std: sample standard deviation over the draws; 0 for a single one.
        made_from: see `probes_made_from`.
    """

    backbone: str
    trained_on: str
    test_set: str
    method: Method
    prompts: str
    prompt_type: int | None
    teacher: str
    head: str
    shots: int
    draws: int
    classes: int
    items: int
    l2: str
    seed: int
    uar: float
    uar_std: float
    war: float
    war_std: float
    made_from: str


@dataclass(frozen=True)
class ProbeResults:
    """All rows, by backbone, in the order of the study."""

    square: tuple[SquareRow, ...]
    few_shot: tuple[FewShotRow, ...]

    @property
    def backbones(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(row.backbone for row in self.square))

    def are_of(self, made_from: Mapping[str, str]) -> bool:
        """Whether they were made from exactly this: backbone -> `probes_made_from`."""
        return {(row.backbone, row.made_from) for row in (*self.square, *self.few_shot)} == set(made_from.items())


def write_probes(found: ProbeResults, folder: Path) -> None:
    """Write both files atomically; scores have three decimals, None is an empty cell."""
    make_folder(folder)
    write_atomically(folder / SQUARE, rows_to_csv(SquareRow, found.square).encode("utf-8"))
    write_atomically(folder / FEW_SHOT, rows_to_csv(FewShotRow, found.few_shot).encode("utf-8"))


def read_probes(folder: Path) -> ProbeResults | None:
    """Read what `write_probes` wrote; None if neither file is there.

    Raises:
        DataError: a file is missing or damaged.
    """
    if not any((folder / name).exists() for name in (SQUARE, FEW_SHOT)):
        return None
    return ProbeResults(
        tuple(read_csv_rows(SquareRow, folder / SQUARE, MADE_BY)),
        tuple(read_csv_rows(FewShotRow, folder / FEW_SHOT, MADE_BY)),
    )
