"""The scores of some test sets with some heads: a table for the terminal, JSON for programs."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.table import Table

from expclip_cache.cache import Json
from expclip_cache.scoring import Scores, ZeroShotScores, short_names


def zero_shot_to_json(scored: Mapping[str, Sequence[ZeroShotScores]]) -> list[Json]:
    """One JSON object per test set; scores in percent.

    Args:
        scored: cache of a test set -> its scores, one item per prompt type.
    """
    return [
        {
            "features": images,
            "items": rows[0].clip.items,
            "skipped": rows[0].skipped,
            "prompt_types": {
                str(row.prompt_type): {
                    "clip": _rounded(row.clip),
                    "heads": {name: _rounded(scores) for name, scores in row.heads.items()},
                }
                for row in rows
            },
        }
        for images, rows in scored.items()
    ]


def zero_shot_to_terminal(scored: Mapping[str, Sequence[ZeroShotScores]]) -> Table:
    """A line per prompt type and head, a column per test set, and a column for the mean over several test sets."""
    every = [row for rows in scored.values() for row in rows]
    table = Table(title="UAR / WAR in percent", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("prompts", "head"):
        table.add_column(name, no_wrap=True)
    for name, rows in zip(short_names(list(scored)), scored.values(), strict=True):
        skipped = f" +{rows[0].skipped} skipped" if rows[0].skipped else ""
        table.add_column(f"{name}\n{rows[0].clip.items} items{skipped}", justify="right", no_wrap=True)
    if len(scored) > 1:
        table.add_column("mean", justify="right", no_wrap=True)
    for kind in sorted({row.prompt_type for row in every}):
        of_type = [next((row for row in rows if row.prompt_type == kind), None) for rows in scored.values()]
        for head in (None, *every[0].heads):
            found = [row and (row.heads[head] if head else row.clip) for row in of_type]
            cells = [_words(scores.uar, scores.war) if scores else "" for scores in found]
            if len(scored) > 1:
                cells.append(_mean(found))
            table.add_row("" if head else f"type {kind}", head or "none: plain CLIP", *cells)
        table.add_section()
    return table


def _mean(found: Sequence[Scores | None]) -> str:
    """The mean over the test sets; empty if one of them has no scores."""
    known = [(scores.uar, scores.war) for scores in found if scores]
    return _words(*np.mean(known, axis=0)) if len(known) == len(found) else ""


def _rounded(scores: Scores) -> dict[str, float]:
    return {"uar": round(scores.uar, 3), "war": round(scores.war, 3)}


def _words(uar: float, war: float) -> str:
    return f"{uar:.2f} / {war:.2f}"
