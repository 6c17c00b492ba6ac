"""The other systems with published scores, each beside what this study measures for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from expclip_cache.datasets import DatasetSettings
from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.paper_table.columns import ColumnKey, column_of, table_columns
from expclip_cache.reporting.published import OTHER_SYSTEMS, Origin, published_results
from expclip_cache.reporting.published_weights import published_weights
from expclip_cache.statistics import fold_groups, under_highest_type


@dataclass(frozen=True)
class OwnRow:
    """What this study measures for a published system: one of its backbones without a head, under one prompt set.

    Attributes:
        backbone, prompts, prompt_type: see `Comparison`; the highest prompt type of the set.
        cells: (k,) one for each column, None where the study has no scores.
    """

    backbone: str
    prompts: str
    prompt_type: int
    cells: tuple[Comparison | None, ...]

    def covers(self, published: Sequence[Pair | None]) -> tuple[bool | None, ...]:
        """(k,) whether our interval of UAR covers the published one; None where either is missing."""
        return tuple(
            cell and pair and cell.clip_intervals.uar.covers(pair.uar)
            for cell, pair in zip(self.cells, published, strict=True)
        )


@dataclass(frozen=True)
class OtherSystem:
    """One published system.

    Attributes:
        name: one of `OTHER_SYSTEMS`.
        title: with its backbone, where its makers or the source name it.
        source: the paper's table, or a figure of later work, from which UAR was read.
        published: (k,) one for each column, None for what is not reported.
        ours: rows of the backbones whose `published_as` names it; empty if the study has none.
        weights: where its weights come from.
        about: what a reader of its scores should know, and where its weights come from.
    """

    name: str
    title: str
    source: Origin
    published: tuple[Pair | None, ...]
    ours: tuple[OwnRow, ...]
    weights: str
    about: str


@dataclass(frozen=True)
class OtherSystems:
    """All of them on the test sets of a study.

    Attributes:
        columns: test sets with published scores -> heading; for sets with folds the mean over the folds.
        systems: those with a score in one of the columns; empty if no test set has published scores.
    """

    columns: Mapping[ColumnKey, str]
    systems: tuple[OtherSystem, ...]


NO_OTHERS = OtherSystems({}, ())
"""Where no test set has published scores."""


def other_systems(compared: Sequence[Comparison], test_sets: Mapping[str, DatasetSettings]) -> OtherSystems:
    """The published systems other than CLIP and Exp-CLIP, whether the study has them or not.

    Args:
        compared: of `compare_with_published` for the same test sets.
        test_sets: key in params.yaml -> settings, in the order of `score.datasets`.

    Raises:
        SettingsError: a definition cannot be read.
    """
    titles = table_columns(test_sets)
    datasets = {
        ColumnKey(group.test_set, group.part): group.published_as
        for group in fold_groups(test_sets)
        if group.published_as and any(_published(name, group.published_as) for name in OTHER_SYSTEMS)
    }
    systems = []
    for name in OTHER_SYSTEMS:
        published = tuple(_published(name, dataset) for dataset in datasets.values())
        if known := [pair for pair in published if pair]:
            systems.append(
                OtherSystem(
                    name=name,
                    title=published_weights()[name].title,
                    source="paper" if known[0].war is not None else "figure",
                    published=published,
                    ours=tuple(_own_rows([row for row in compared if row.published_as == name], list(datasets))),
                    weights=published_weights()[name].origin,
                    about=published_weights()[name].about,
                )
            )
    return OtherSystems({key: titles[key] for key in datasets}, tuple(systems))


def _published(system: str, dataset: str) -> Pair | None:
    return next((Pair(result.uar, result.war) for result in published_results(system, dataset, 0)), None)


def _own_rows(rows: Sequence[Comparison], columns: Sequence[ColumnKey]) -> Iterator[OwnRow]:
    """A row for each backbone and prompt set; every head's row has the same scores without the head."""
    for backbone in dict.fromkeys(row.backbone for row in rows):
        own = under_highest_type([row for row in rows if row.backbone == backbone])
        for prompts, kind in dict.fromkeys((row.prompts, row.prompt_type) for row in own):
            by_column = {column_of(row): row for row in own if row.prompts == prompts}
            yield OwnRow(backbone, prompts, kind, tuple(by_column.get(key) for key in columns))
