"""Comparisons as the paper's study gives them, with made-up scores of ours, for tests of its table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.other_systems import OtherSystem, OtherSystems, OwnRow
from expclip_cache.reporting.paper_table.columns import ColumnKey
from expclip_cache.reporting.published import published_results
from expclip_cache.statistics import Interval, ScoreIntervals

SETS = ("raf-db", "affectnet-7", "affectnet-8", "ferplus", "dfew", "ferv39k", "mafw", "afew")
COLUMNS = {
    ColumnKey(name, "fold mean" if name in ("dfew", "mafw") else "whole"): heading
    for name, heading in zip(
        SETS, ("RAF-DB", "AffectNet-7", "AffectNet-8", "FERPlus", "DFEW", "FERV39k", "MAFW", "AFEW"), strict=True
    )
}


def paper_rows(
    *,
    backbones: Sequence[str] = ("B/32", "B/16", "L/14"),
    heads: Sequence[str] = ("reference", "ridge"),
    teachers: Sequence[str] = ("blip2",),
    prompts: Sequence[str] = ("reference",),
    types: Sequence[int] = (2, 5),
) -> list[Comparison]:
    """Rows in the order of `compare_with_published`; our scores are near the published ones, a `ridge` has no seeds."""
    random = np.random.default_rng(3)
    rows = []
    for backbone in backbones:
        for key in COLUMNS:
            for prompt_set in prompts:
                for kind in types:
                    found = {
                        (one.method, one.source): Pair(one.uar, one.war)
                        for one in published_results(f"CLIP {backbone}", key.test_set, kind)
                    }
                    clip, log = found["CLIP", "paper"], found["Exp-CLIP", "log"]
                    near_clip = _near(clip, random)
                    for teacher in teachers:
                        for head in heads:
                            ours = _near(log, random)
                            seeded = head != "ridge"
                            rows.append(
                                Comparison(
                                    test_set=key.test_set,
                                    part=key.part,
                                    backbone=f"clip-{backbone}",
                                    teacher=teacher,
                                    head=head,
                                    prompts=prompt_set,
                                    prompt_type=kind,
                                    published_as=f"CLIP {backbone}",
                                    n=3000,
                                    published_n=3000,
                                    clip=near_clip,
                                    expclip=ours,
                                    seeds=5 if seeded else 0,
                                    expclip_std=Pair(0.8, 1.1) if seeded else None,
                                    clip_intervals=_around(near_clip),
                                    expclip_intervals=_around(ours),
                                    log_intervals=_around(log),
                                    paper_clip=clip,
                                    paper_expclip=found["Exp-CLIP", "paper"],
                                    log=log if prompt_set == "reference" else None,
                                    later=found.get(("EmoCapCLIP", "figure")),
                                )
                            )
    return rows


def other_rows() -> OtherSystems:
    """FaRL with a row of its own and BLIP2 without, on all sets; every second published score is covered."""
    rows = [
        replace(row, published_as="FaRL", method="FaRL")
        for row in paper_rows(backbones=("B/16",), heads=("ridge",), types=(5,))
    ]
    farl = [Pair(row.clip.uar + 9 * (number % 2), row.clip.war) for number, row in enumerate(rows)]
    own = OwnRow("farl-b16", "reference", 5, tuple(rows))
    return OtherSystems(
        COLUMNS,
        (
            OtherSystem("FaRL", "FaRL (B/16)", "paper", tuple(farl), (own,), "its weights", "About FaRL."),
            OtherSystem("BLIP2", "BLIP2 (L/14)", "paper", (*farl[:4], *[None] * 4), (), "a file", "About <BLIP2>."),
        ),
    )


def _near(pair: Pair, random: np.random.Generator) -> Pair:
    uar, war = random.normal((pair.uar, pair.war), 1)
    return Pair(float(uar), float(war))


def _around(pair: Pair) -> ScoreIntervals:
    return ScoreIntervals(Interval(pair.uar - 1, pair.uar + 1), Interval(pair.war - 1.5, pair.war + 1.5))
