"""The figures of a study: which there are, what they are called, and what each is drawn from."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from expclip_cache.reporting.figures.confusion import confusion_figure
from expclip_cache.reporting.figures.gains import gains_figure
from expclip_cache.reporting.figures.loss import loss_figure
from expclip_cache.reporting.figures.points import Point, pairs_figure
from expclip_cache.reporting.page.content import Page, SetSection, View
from expclip_cache.reporting.paper_table.columns import ColumnKey
from expclip_cache.reporting.system_names import system_names
from expclip_cache.statistics import Row, Statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ("uar", "gains", "loss", "confusion", "recall")
"""Kinds: of a head, then of a head on a test set."""


@dataclass(frozen=True)
class Drawing:
    """One figure: the name of its file, without a suffix, and the function that draws it."""

    name: str
    draw: "Callable[[], Figure]"


def drawings_of(page: Page, columns: Mapping[ColumnKey, str], kinds: Collection[str] = FIGURES) -> Iterator[Drawing]:
    """The figures of the views of a page.

    Args:
        page: the results of a study.
        columns: the lines of `uar` and `gains` with their names, as `table_columns` gives them.
        kinds: of `FIGURES`.
    """
    for view in page.views:
        yield from _of_all_sets(view, page.statistics, columns, kinds)
    if "loss" in kinds:
        losses = {view.system._replace(prompts=""): view.losses for view in page.views if view.losses}
        names = system_names(view.system._replace(prompts="") for view in page.views)
        for system, of_seeds in losses.items():
            yield Drawing(f"loss_{_in_a_file(names[system])}", partial(loss_figure, of_seeds))
    for view in page.views:
        for section in view.sets:
            yield from _of_one_set(section, f"{section.row.test_set}_{_in_a_file(view.name)}", kinds)


def _of_all_sets(
    view: View, statistics: Statistics, columns: Mapping[ColumnKey, str], kinds: Collection[str]
) -> Iterator[Drawing]:
    row = Row(view.system, view.rows[0].prompt_type)
    names, file = list(columns.values()), _in_a_file(view.name)
    if "uar" in kinds:
        clip, expclip = (
            [Point(one.uar, one.intervals.uar) for one in (statistics.scored(*key, which) for key in columns)]
            for which in (row.plain_clip, row)
        )
        yield Drawing(f"uar_{file}", partial(pairs_figure, names, clip, expclip, "UAR, %"))
    if "gains" in kinds:
        paired = (statistics.difference(*key, row, row.plain_clip) for key in columns)
        gains = [Point(one.uar, one.intervals.uar) for one in paired]
        yield Drawing(f"gains_{file}", partial(gains_figure, names, gains))


def _of_one_set(section: SetSection, file: str, kinds: Collection[str]) -> Iterator[Drawing]:
    if "confusion" in kinds:
        draw = partial(confusion_figure, section.classes, section.clip, section.expclip)
        yield Drawing(f"confusion_{file}", draw)
    if "recall" in kinds:
        clip, expclip = (
            [Point(*both) for both in zip(values.tolist(), intervals, strict=True)]
            for values, intervals in (
                (section.clip_recall, section.clip_intervals),
                (section.expclip_recall.mean(axis=0), section.expclip_intervals),
            )
        )
        chance = 100 / len(section.classes)
        yield Drawing(f"recall_{file}", partial(pairs_figure, section.classes, clip, expclip, "recall, %", chance))


def _in_a_file(name: str) -> str:
    """The name of a system in that of a file."""
    return name.replace(" / ", "_")
