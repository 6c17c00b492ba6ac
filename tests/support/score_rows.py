"""Scores of a made-up study, for tests of tables."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.scoring.results import ScoreRow


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
