"""The page of an ablation, from the rows of its axes."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.ablation.answers import AllAnswers, scores_of
from expclip_cache.ablation.axes import Axis
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.options import AXES
from expclip_cache.ablation.tables import AxisRow
from expclip_cache.ablation.words import ABOUT, TITLES, number_of_faces, shown_value, value_of
from expclip_cache.reporting import AblatedAxis, AblatedValue, AblationPage, note_on_drawn
from expclip_cache.statistics import FoldGroup, StatisticsSettings


def ablation_page(
    study: CachedStudy,
    answers: AllAnswers,
    axes: Sequence[Axis],
    centre: Choice,
    rows: Sequence[AxisRow],
    mean: FoldGroup | None,
    left_out: Sequence[str],
    statistics: StatisticsSettings,
) -> AblationPage:
    """Everything that the page shows; an axis with a single value has no chart.

    Args:
        rows, mean: see `axis_rows`.
    """
    by_value: dict[tuple[str, str], list[AxisRow]] = {}
    for row in rows:
        by_value.setdefault((row.axis, row.value), []).append(row)
    shown = []
    for axis in axes:
        choices = [choice for choice in axis.choices if choice in answers.repeats]
        if len(choices) > 1:
            found = [by_value[axis.name, value_of(study, axis.name, choice)] for choice in choices]
            values = tuple(
                _value(study, answers, axis, choice, of_value, mean)
                for choice, of_value in zip(choices, found, strict=True)
            )
            shown.append(AblatedAxis(axis.name, TITLES[axis.name], ABOUT[axis.name], values))
    names, settings = answers.test_sets, study.settings
    scored = ((name, int((study.truth(centre.backbone, name) >= 0).sum())) for name in names)
    return AblationPage(
        centre=[(TITLES[name].lower(), shown_value(study, name, centre).removeprefix("type ")) for name in AXES],
        axes=tuple(shown),
        test_sets=list(scored),
        cells=sum(map(len, answers.repeats.values())),
        trained_on=settings.train.dataset,
        confidence=statistics.confidence,
        drawn=note_on_drawn(names, [name for name in names if settings.datasets[name].draw]),
        left_out=left_out,
    )


def _value(
    study: CachedStudy,
    answers: AllAnswers,
    axis: Axis,
    choice: Choice,
    rows: Sequence[AxisRow],
    mean: FoldGroup | None,
) -> AblatedValue:
    """One value, from its rows: the last is the mean over the test sets, or the only one."""
    overall = rows[-1]
    names, weights = (mean.names, mean.weights) if mean else (answers.test_sets, None)
    scores = [scores_of(answers.of(choice, name)) for name in names]
    return AblatedValue(
        label=shown_value(study, axis.name, choice),
        number=number_of_faces(study, choice) if axis.name == "faces" else None,
        centre=overall.centre,
        uar=overall.uar,
        low=overall.uar_low,
        high=overall.uar_high,
        std=overall.uar_std,
        heads=tuple(np.average(scores, axis=0, weights=weights)[:, 0].tolist()),
        by_set=tuple(row.uar for row in rows[: len(answers.test_sets)]),
        clip=overall.clip_uar,
        change=overall.change,
    )
