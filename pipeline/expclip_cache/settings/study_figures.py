"""The figures of a study for a paper."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from expclip_cache.base import SettingsError
from expclip_cache.reporting import FIGURES, Drawing, Page, drawings_of, read_page, table_columns
from expclip_cache.settings.settings import Settings, chosen_names
from expclip_cache.settings.study_report import report_inputs, test_sets


def study_drawings(
    settings: Settings,
    *,
    kinds: Collection[str] = FIGURES,
    backbones: Sequence[str] = (),
    heads: Sequence[str] = (),
    datasets: Sequence[str] = (),
) -> list[Drawing]:
    """The figures of the results in the current folder, under the highest prompt type of each prompt set.

    Args:
        settings: of the study.
        kinds: of `FIGURES`.
        backbones, heads, datasets: those that are drawn; all if none is named.

    Raises:
        DataError: there are no results yet, or they are damaged.
        SettingsError: a name is not known, or the study has no such head.
    """
    backbones = chosen_names(backbones, settings.backbones, "backbones")
    heads = chosen_names(heads, settings.heads, "heads")
    datasets = chosen_names(datasets, settings.score.datasets, "score.datasets")
    # Faces are not drawn, so there is no need to open images, nor for a limit.
    inputs = replace(report_inputs(settings), roots={})
    page = _chosen(read_page(inputs, (), most_sections=math.inf), backbones, heads, datasets)
    columns = table_columns({name: entry for name, entry in test_sets(settings).items() if name in datasets})
    return list(drawings_of(page, columns, kinds))


def _chosen(page: Page, backbones: Collection[str], heads: Collection[str], datasets: Collection[str]) -> Page:
    views = [
        replace(
            view,
            rows=tuple(row for row in view.rows if row.test_set in datasets),
            sets=tuple(section for section in view.sets if section.row.test_set in datasets),
        )
        for view in page.views
        if view.system.backbone in backbones and view.system.head in heads
    ]
    if not views:
        raise SettingsError(
            f"--head, --backbone: expected a head that is fitted on one of the backbones, found {', '.join(heads)} on "
            f"{', '.join(backbones)}. Figures compare heads with plain CLIP; see heads: in params.yaml."
        )
    return replace(page, views=tuple(views))
