"""The table of all scores: a column for each system, a row for each test set, prompt set and prompt type.

LLMs' own answers have no prompts: a test set has one cell for each rule.
"""

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
        answers: those of own answers in the first row of a test set, which stand beside all its rows; else empty.
    """

    test_set: str
    prompts: str
    prompt_type: int
    cells: tuple[SystemScores | None, ...]
    answers: tuple[SystemScores, ...]

    @property
    def first(self) -> SystemScores:
        """Any of its scores: all are of the same items."""
        return next(cell for cell in self.cells if cell)


@dataclass(frozen=True)
class ScoreGrid:
    """The whole table; each block has the rows of one test set, the last one the means over several.

    Attributes:
        columns: of each backbone.
        answers: LLM and rule of the columns of own answers, which come last.
        blocks: of rows.
    """

    columns: tuple[Columns, ...]
    answers: tuple[tuple[str, str], ...]
    blocks: tuple[tuple[GridRow, ...], ...]


def score_grid(scores: Sequence[SystemScores], means: Sequence[SystemScores]) -> ScoreGrid:
    """Arrange the scores of a study and their means over the test sets side by side."""
    with_clip = [row for row in scores if not row.system.is_own_answers]
    columns = []
    for backbone in dict.fromkeys(row.backbone for row in with_clip):
        own = dict.fromkeys((row.teacher, row.head) for row in with_clip if row.backbone == backbone and row.head)
        columns.append(Columns(backbone, tuple(own)))
    heads = [(group.backbone, teacher, head) for group in columns for teacher, head in (("", ""), *group.heads)]
    answers = dict.fromkeys((row.teacher, row.head) for row in scores if row.system.is_own_answers)
    every = [*scores, *means]
    found = {(row.test_set, (row.prompts, row.prompt_type), row.system[:3]): row for row in every}
    prompts = list(dict.fromkeys((row.prompts, row.prompt_type) for row in with_clip))
    blocks = tuple(
        tuple(
            GridRow(
                name,
                *prompt,
                tuple(found.get((name, prompt, column)) for column in heads),
                () if number else tuple(found[name, ("", 0), ("", *answer)] for answer in answers),
            )
            for number, prompt in enumerate(prompts)
        )
        for name in dict.fromkeys(row.test_set for row in every)
    )
    return ScoreGrid(tuple(columns), tuple(answers), blocks)
