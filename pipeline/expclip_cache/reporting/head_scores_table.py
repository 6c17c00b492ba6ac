"""The scores of some test sets under some heads, for people and for programs."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.table import Table

from expclip_cache.scoring import HeadScores, Scores, short_names


def scores_json(scored: Mapping[str, Sequence[HeadScores]]) -> list[dict]:
    """As JSON values, one object a test set, scores in percent.

    Args:
        scored: cache of a test set -> its scores under each prompt type.
    """
    return [
        {
            "features": images,
            "items": rows[0].clip.items,
            "skipped": rows[0].skipped,
            "prompt_types": {
                str(row.prompt_type): {
                    "clip": _numbers(row.clip),
                    "heads": {name: _numbers(scores) for name, scores in row.heads.items()},
                }
                for row in rows
            },
        }
        for images, rows in scored.items()
    ]


def _numbers(scores: Scores) -> dict[str, float]:
    return {"uar": round(scores.uar, 3), "war": round(scores.war, 3)}


def scores_table(scored: Mapping[str, Sequence[HeadScores]]) -> Table:
    """As a table for a terminal: a line for each prompt type and head, a column for each test set and their mean."""
    every = [row for rows in scored.values() for row in rows]
    table = Table(title="UAR / WAR in percent", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("prompts", "head"):
        table.add_column(name, no_wrap=True)
    for name, rows in zip(short_names(list(scored)), scored.values(), strict=True):
        skipped = f" +{rows[0].skipped} unreadable" if rows[0].skipped else ""
        table.add_column(f"{name}\n{rows[0].clip.items} items{skipped}", justify="right", no_wrap=True)
    if len(scored) > 1:
        table.add_column("mean", justify="right", no_wrap=True)
    for kind in sorted({row.prompt_type for row in every}):
        of_kind = [next((row for row in rows if row.prompt_type == kind), None) for rows in scored.values()]
        for head in (None, *every[0].heads):
            found = [row and (row.heads[head] if head else row.clip) for row in of_kind]
            cells = [_pair(scores.uar, scores.war) if scores else "" for scores in found]
            if len(scored) > 1:
                means = np.mean([(scores.uar, scores.war) for scores in found], axis=0) if all(found) else None
                cells.append("" if means is None else _pair(*means))
            table.add_row("" if head else f"type {kind}", head or "none: plain CLIP", *cells)
        table.add_section()
    return table


def _pair(uar: float, war: float) -> str:
    return f"{uar:.2f} / {war:.2f}"
