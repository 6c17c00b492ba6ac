"""The figures of a study: which there are, what they are called, and what each is drawn from."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from expclip_cache.reporting.figures.confusion import confusion_figure
from expclip_cache.reporting.figures.gains import gains_figure
from expclip_cache.reporting.figures.loss import loss_figure
from expclip_cache.reporting.figures.points import Point, pairs_figure
from expclip_cache.reporting.page.content import SetSection, View
from expclip_cache.reporting.system_names import system_names
from expclip_cache.reporting.weakest_class import Place
from expclip_cache.statistics import Interval, SystemScores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ("uar", "gains", "loss", "confusion", "recall")
"""Kinds: of a head, then of a head on a test set."""

RecallIntervals = Mapping[Place, Sequence[Interval | None]]


@dataclass(frozen=True)
class Drawing:
    """One figure: the name of its file, without a suffix, and the function that draws it."""

    name: str
    draw: "Callable[[], Figure]"


def drawings_of(
    views: Sequence[View],
    clip: Mapping[Place, SystemScores],
    titles: Mapping[str, str],
    recalls: RecallIntervals,
    kinds: Collection[str] = FIGURES,
) -> Iterator[Drawing]:
    """The figures of some views.

    Args:
        views: heads with their scores and sections.
        clip: the scores of plain CLIP.
        titles: test set -> its name as papers write it.
        recalls: intervals of the recall of each class, for plain CLIP and the heads.
        kinds: of `FIGURES`.
    """
    heads = [view.system._replace(prompts="") for view in views]
    trained = system_names(heads)
    for view in views:
        name = view.name.replace(" / ", "_")
        names = [titles[row.test_set] for row in view.rows]
        if "uar" in kinds:
            plain = [clip[_clip_place(row)] for row in view.rows]
            points = [[Point(row.uar, row.intervals.uar) for row in rows] for rows in (plain, view.rows)]
            yield Drawing(f"uar_{name}", partial(pairs_figure, names, *points, "UAR, %"))
        if "gains" in kinds:
            gains = [Point(row.gain, row.gain_interval) for row in view.rows]
            yield Drawing(f"gains_{name}", partial(gains_figure, names, gains))
    if "loss" in kinds:
        losses = {system: view.losses for system, view in zip(heads, views, strict=True) if view.losses}
        for system, of_seeds in losses.items():
            yield Drawing(f"loss_{trained[system].replace(' / ', '_')}", partial(loss_figure, of_seeds))
    for view in views:
        for section in view.sets:
            yield from _of_section(section, view.name.replace(" / ", "_"), recalls, kinds)


def _of_section(section: SetSection, name: str, recalls: RecallIntervals, kinds: Collection[str]) -> Iterator[Drawing]:
    row = section.row
    if "confusion" in kinds:
        draw = partial(confusion_figure, section.classes, section.clip, section.expclip)
        yield Drawing(f"confusion_{row.test_set}_{name}", draw)
    if "recall" in kinds:
        plain, head = recalls[_clip_place(row)], recalls[Place(row.test_set, row.prompt_type, row.system)]
        clip = [Point(value, interval) for value, interval in zip(section.clip_recall.tolist(), plain, strict=True)]
        values = section.expclip_recall.mean(axis=0).tolist()
        expclip = [Point(value, interval) for value, interval in zip(values, head, strict=True)]
        chance = 100 / len(section.classes)
        yield Drawing(
            f"recall_{row.test_set}_{name}", partial(pairs_figure, section.classes, clip, expclip, "recall, %", chance)
        )


def _clip_place(row: SystemScores) -> Place:
    """Where plain CLIP was measured that a head is compared with."""
    return Place(row.test_set, row.prompt_type, row.system._replace(teacher="", head=""))
