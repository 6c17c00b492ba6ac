"""The table of all scores: a column for each system, a row for each test set, prompt set and prompt type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from expclip_cache.statistics import SystemScores, mean


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
        cells: the scores in the order of the columns.
        uars, gains: of the cells, or their means over all test sets.
    """

    test_set: str
    prompts: str
    prompt_type: int
    cells: tuple[SystemScores, ...]
    uars: tuple[float, ...]
    gains: tuple[float, ...]


@dataclass(frozen=True)
class ScoreGrid:
    """The whole table; each block has the rows of one test set, the last one the means over several."""

    columns: tuple[Columns, ...]
    blocks: tuple[tuple[GridRow, ...], ...]


def score_grid(scores: Sequence[SystemScores]) -> ScoreGrid:
    """Arrange the scores of a study side by side."""
    columns = []
    for backbone in dict.fromkeys(row.backbone for row in scores):
        own = dict.fromkeys((row.teacher, row.head) for row in scores if row.backbone == backbone and row.head)
        columns.append(Columns(backbone, tuple(own)))
    heads = [(group.backbone, teacher, head) for group in columns for teacher, head in (("", ""), *group.heads)]
    found = {(row.test_set, (row.prompts, row.prompt_type), row.system[:3]): row for row in scores}
    test_sets = list(dict.fromkeys(row.test_set for row in scores))
    prompts = list(dict.fromkeys((row.prompts, row.prompt_type) for row in scores))
    blocks = []
    for name in test_sets:
        block = []
        for prompt in prompts:
            cells = tuple(found[name, prompt, column] for column in heads)
            block.append(GridRow(name, *prompt, cells, tuple(c.uar for c in cells), tuple(c.gain for c in cells)))
        blocks.append(tuple(block))
    if len(test_sets) > 1:
        means = []
        for rows in zip(*blocks, strict=True):
            uars, gains = (
                tuple(mean(values) for values in zip(*(getattr(row, kind) for row in rows), strict=True))
                for kind in ("uars", "gains")
            )
            means.append(GridRow("", rows[0].prompts, rows[0].prompt_type, rows[0].cells, uars, gains))
        blocks.append(tuple(means))
    return ScoreGrid(tuple(columns), tuple(blocks))
