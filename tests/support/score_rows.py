"""Scores of a made-up study and its statistics, for tests of tables."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.scoring.results import ScoreRow
from expclip_cache.statistics.items import controlled_pairs
from expclip_cache.statistics.results import Difference, ScoredRow, Statistics
from expclip_cache.statistics.settings import StatisticsSettings
from expclip_cache.statistics.system import Row, System
from expclip_cache.statistics.systems import SystemScores, standard_deviation, system_scores


def study_rows(
    *,
    backbones: Sequence[str] = ("demo-clip",),
    teachers: Sequence[str] = ("demo-llm",),
    heads: Sequence[str] = ("contrastive", "ridge"),
    prompts: Sequence[str] = ("reference",),
    types: Sequence[int] = (2, 5),
    test_sets: Sequence[str] = ("demo-clean", "demo-grey", "demo-clips"),
    seeds: int = 3,
    low: float = 10,
) -> list[ScoreRow]:
    """Random scores in the order of the score files; a head called `ridge` has no seeds; the first set has a skipped
    item."""  # fmt: skip
    random = np.random.default_rng(5)

    def row(test_set: str, backbone: str, kind: tuple[str, int], teacher: str, head: str, seed: int | None) -> ScoreRow:
        uar, war = random.uniform(low, 100, 2)
        skipped = int(test_set == test_sets[0])
        items = 1400 - skipped
        return ScoreRow(test_set, backbone, teacher, head, seed, *kind, items, skipped, float(uar), float(war))

    return [
        row(test_set, backbone, (name, kind), teacher, head, seed)
        for backbone in backbones
        for test_set in test_sets
        for name in prompts
        for kind in types
        for teacher, head, seed in [
            ("", "", None),
            *(
                (teacher, head, seed)
                for teacher in teachers
                for head in heads
                for seed in ((None,) if head == "ridge" else range(1, seeds + 1))
            ),
        ]
    ]


def made_up_statistics(rows: Sequence[ScoreRow]) -> Statistics:
    """Of each test set and the mean: intervals a point to either side of UAR, two points to either side of a gain."""
    seeds: dict[tuple[str, Row], list[ScoreRow]] = {}
    for one in rows:
        row = Row(System(one.backbone, one.teacher, one.head, one.prompts), one.prompt_type)
        seeds.setdefault((one.test_set, row), []).append(one)
    test_sets = list(dict.fromkeys(one.test_set for one in rows))
    every = list(dict.fromkeys(row for _, row in seeds))
    scored, differences = [], []
    for name, names in [*((name, [name]) for name in test_sets), ("", test_sets)]:
        part = "whole" if name else "mean"

        def values(row: Row, kind: str, names: Sequence[str] = names) -> list[float]:
            found = [[getattr(one, kind) for one in seeds[name, row]] for name in names]
            return np.mean(found, axis=0).tolist()

        for row in every:
            uars, wars = values(row, "uar"), values(row, "war")
            uar, war, count = float(np.mean(uars)), float(np.mean(wars)), len(uars) if row.system.head else 0
            spread = standard_deviation(uars), standard_deviation(wars)
            items = sum(seeds[name, row][0].items for name in names)
            where = (name, part, *row.system, row.prompt_type, items, count)
            scored.append(ScoredRow(*where, uar, uar - 1, uar + 1, spread[0], war, war - 1, war + 1, spread[1]))
        for row, other in controlled_pairs(every):
            gain = float(np.mean(values(row, "uar")) - np.mean(values(other, "uar")))
            where = (name, part, *row.system, row.prompt_type, *other.system, other.prompt_type, 1399)
            numbers = (gain, gain - 2, gain + 2, gain, gain - 2, gain + 2)
            tested = (30, 20, 0.04, 0.08) if name else (None, None, None, None)
            differences.append(Difference(*where, *numbers, *tested))
    return Statistics(StatisticsSettings(), tuple(scored), (), tuple(differences))


def scores_of(rows: Sequence[ScoreRow]) -> list[SystemScores]:
    """The rows averaged over seeds, with made-up statistics."""
    return system_scores(rows, made_up_statistics(rows))
