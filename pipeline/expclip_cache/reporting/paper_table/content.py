"""What a table for a paper shows, whatever it is written in. No LaTeX or Markdown here."""

from dataclasses import dataclass

from expclip_cache.statistics import Interval


@dataclass(frozen=True)
class TableOptions:
    """What the table shows.

    Attributes:
        prompt_type: 1 to 5, or 0 for prompts from a file; None: the highest of each prompt set.
        intervals: confidence intervals beside the scores.
        std: standard deviations over the seeds.
        published: rows with the published scores.
        mean: a column with the mean over the datasets.
        digits: decimals of scores; None: two, as in published tables, or one beside an interval or deviation.
    """

    prompt_type: int | None = None
    intervals: bool = False
    std: bool = False
    published: bool = False
    mean: bool = False
    digits: int | None = None

    @property
    def decimals(self) -> int:
        """How many are shown."""
        if self.digits is not None:
            return self.digits
        return 1 if self.intervals or self.std else 2


@dataclass(frozen=True)
class Number:
    """One UAR or WAR in percent.

    Attributes:
        value: the score.
        std: over the seeds; None if it is not shown or there are no seeds.
        interval: None if it is not shown or not known.
        covers: whether our interval covers the published score; False if there is neither.
        best: whether no number of the same backbone, dataset and metric is higher at the shown precision.
    """

    value: float
    std: float | None = None
    interval: Interval | None = None
    covers: bool = False
    best: bool = False


@dataclass(frozen=True)
class Cell:
    """One system on one dataset."""

    uar: Number
    war: Number


@dataclass(frozen=True)
class Line:
    """One system: a cell for each column, None where it has no scores."""

    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Block:
    """The systems of one backbone, or of none."""

    backbone: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class PaperTable:
    """The whole table.

    Attributes:
        columns: headings, the datasets and perhaps the mean.
        blocks: one for each backbone.
        caption: sentences that say what is shown, `†` among them.
        decimals: of every number.
        two_lines: whether UAR and WAR have a line each, because something stands beside them.
    """

    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    caption: tuple[str, ...]
    decimals: int
    two_lines: bool
