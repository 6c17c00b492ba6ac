"""What the page of an ablation shows. No HTML here."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AblatedValue:
    """One value of an axis; scores are UAR in percent, means over the test sets.

    Attributes:
        label: the value in words.
        number: the value of a numeric axis; else None.
        centre: whether it is the centre's.
        uar, low, high: mean over the heads with its interval over items.
        std: sample standard deviation over the heads; 0 for a single one.
        heads: UAR of each head.
        by_set: UAR on each test set.
        clip: plain CLIP with the same backbone and prompts.
        change: `uar` minus the centre's on the same items, and the ends of its interval, in points; None for the
            centre.
    """

    label: str
    number: int | None
    centre: bool
    uar: float
    low: float
    high: float
    std: float
    heads: tuple[float, ...]
    by_set: tuple[float, ...]
    clip: float
    change: tuple[float, float, float] | None


@dataclass(frozen=True)
class AblatedAxis:
    """One chart with its table.

    Attributes:
        name: of the axis, such as prompt-type.
        title: heading.
        about: what is varied, in a sentence.
        values: two or more, in their order.
    """

    name: str
    title: str
    about: str
    values: tuple[AblatedValue, ...]


@dataclass(frozen=True)
class AblationPage:
    """Everything on the page.

    Attributes:
        centre: name of an axis -> its value, in words.
        axes: those with several values.
        test_sets: name and number of scored items, at the centre.
        cells: lines of ablation.csv for one test set.
        trained_on: name of the training set.
        confidence: of the intervals, in percent.
        drawn: what kind of faces the test sets have, in words; empty if all are photographs.
        left_out: a line for each thing that could not be compared.
    """

    centre: Sequence[tuple[str, str]]
    axes: tuple[AblatedAxis, ...]
    test_sets: Sequence[tuple[str, int]]
    cells: int
    trained_on: str
    confidence: float
    drawn: str
    left_out: Sequence[str]
