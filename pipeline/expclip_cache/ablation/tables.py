"""The two tables of an ablation: a line for every cell, and a line for every value of an axis, on each test set."""

from collections.abc import Iterable
from dataclasses import dataclass

from expclip_cache.base import rows_to_csv


@dataclass(frozen=True)
class CellRow:
    """One line of ablation.csv: one cell on one test set.

    Attributes:
        test_set: name of the dataset.
        backbone, prompts, prompt_type, aggregation, teacher, head: see `Choice`.
        instruction: of the teacher; empty for plain CLIP.
        faces: faces that the head was fitted on, or chose its lambda on; None for plain CLIP.
        draw: of the faces, from 1; None if all are used.
        seed: None for a head without seeds and for plain CLIP.
        items: scored items.
        skipped: items without features; they are not scored.
        uar, war: in percent.
        uar_low, uar_high, war_low, war_high: their intervals over items.
    """

    test_set: str
    backbone: str
    prompts: str
    prompt_type: int
    aggregation: str
    teacher: str
    instruction: str
    head: str
    faces: int | None
    draw: int | None
    seed: int | None
    items: int
    skipped: int
    uar: float
    uar_low: float
    uar_high: float
    war: float
    war_low: float
    war_high: float


@dataclass(frozen=True)
class AxisRow:
    """One line of axes.csv: one value of one axis on one test set, everything else as at the centre.

    Attributes:
        axis: see `AXES`.
        value: name, number, or text of an instruction.
        centre: whether it is the centre's.
        test_set: name of the dataset; empty for the mean over the test sets.
        cells: heads that the scores are the mean of: draws and seeds.
        items: scored items.
        clip_uar: UAR of plain CLIP with the same backbone and prompts.
        uar, war: mean over the cells, in percent.
        uar_low, uar_high, war_low, war_high: intervals over items.
        uar_std, war_std: sample standard deviation over the cells; 0 for a single one.
        uar_change, war_change: minus the centre's on the same items, in points; None for the centre.
        uar_change_low, uar_change_high, war_change_low, war_change_high: their intervals over items.
    """

    axis: str
    value: str
    centre: bool
    test_set: str
    cells: int
    items: int
    clip_uar: float
    uar: float
    uar_low: float
    uar_high: float
    uar_std: float
    war: float
    war_low: float
    war_high: float
    war_std: float
    uar_change: float | None
    uar_change_low: float | None
    uar_change_high: float | None
    war_change: float | None
    war_change_low: float | None
    war_change_high: float | None

    @property
    def change(self) -> tuple[float, float, float] | None:
        """The change in UAR and the ends of its interval; None for the centre."""
        if self.uar_change is None or self.uar_change_low is None or self.uar_change_high is None:
            return None
        return self.uar_change, self.uar_change_low, self.uar_change_high


def cells_csv(rows: Iterable[CellRow]) -> str:
    """The table as csv, three decimals; None is an empty cell."""
    return rows_to_csv(CellRow, rows)


def axes_csv(rows: Iterable[AxisRow]) -> str:
    """The table as csv, three decimals."""
    return rows_to_csv(AxisRow, rows)
