"""The table of all scores: a column for each system, a row for each test set, prompt set and prompt type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from expclip_cache.statistics import SystemScores


class Columns(NamedTuple):
    """The columns of one backbone: plain CLIP, then each teacher and head."""

    backbone: str
    heads: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class GridRow:
    """One row.

    Attributes:
        test_set: name of the dataset; empty for the means over all test sets.
        prompts, prompt_type: see `SystemScores`.
        cells: the scores in the order of the columns; None where a backbone is not scored with these prompts.
    """

    test_set: str
    prompts: str
    prompt_type: int
    cells: tuple[SystemScores | None, ...]

    @property
    def first(self) -> SystemScores:
        """Any of its scores: all are of the same items."""
        return next(cell for cell in self.cells if cell)


@dataclass(frozen=True)
class ScoreGrid:
    """The whole table; each block has the rows of one test set, the last one the means over several."""

    columns: tuple[Columns, ...]
    blocks: tuple[tuple[GridRow, ...], ...]


def score_grid(scores: Sequence[SystemScores], means: Sequence[SystemScores]) -> ScoreGrid:
    """Arrange the scores of a study and their means over the test sets side by side."""
    columns = []
    for backbone in dict.fromkeys(row.backbone for row in scores):
        own = dict.fromkeys((row.teacher, row.head) for row in scores if row.backbone == backbone and row.head)
        columns.append(Columns(backbone, tuple(own)))
    heads = [(group.backbone, teacher, head) for group in columns for teacher, head in (("", ""), *group.heads)]
    every = [*scores, *means]
    found = {(row.test_set, (row.prompts, row.prompt_type), row.system[:3]): row for row in every}
    prompts = list(dict.fromkeys((row.prompts, row.prompt_type) for row in scores))
    blocks = tuple(
        tuple(
            GridRow(name, *prompt, tuple(found.get((name, prompt, column)) for column in heads)) for prompt in prompts
        )
        for name in dict.fromkeys(row.test_set for row in every)
    )
    return ScoreGrid(tuple(columns), blocks)
