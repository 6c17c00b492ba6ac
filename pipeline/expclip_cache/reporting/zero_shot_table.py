"""The scores of some test sets with some heads: a table for the terminal, JSON for programs."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Group

from expclip_cache.cache import Json
from expclip_cache.reporting.text_table import Column, first_of_each, tables_within_width, type_name
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


def zero_shot_to_terminal(scored: Mapping[str, Sequence[ZeroShotScores]]) -> Group:
    """A line per prompt type and head, a column per test set, and a column for the mean over several test sets."""
    every = [row for rows in scored.values() for row in rows]
    lines = [(kind, head) for kind in sorted({row.prompt_type for row in every}) for head in (None, *every[0].heads)]
    kinds = [kind for kind, _ in lines]
    fixed = [
        Column("prompts", first_of_each([type_name(kind) for kind in kinds], kinds), "left"),
        Column("head", [head or "none: plain CLIP" for _, head in lines], "left"),
    ]
    found = [[_scores(rows, kind, head) for kind, head in lines] for rows in scored.values()]
    sets = [
        Column(_header(name, rows[0]), [_words(cell.uar, cell.war) if cell else "" for cell in cells])
        for name, rows, cells in zip(short_names(list(scored)), scored.values(), found, strict=True)
    ]
    if len(scored) > 1:
        sets.append(Column("mean", [_mean(of_line) for of_line in zip(*found, strict=True)]))
    ends = [number for number in range(1, len(lines)) if kinds[number] != kinds[number - 1]]
    return Group(*tables_within_width("UAR / WAR in percent", fixed, sets, ends))


def _scores(rows: Sequence[ZeroShotScores], kind: int, head: str | None) -> Scores | None:
    """Of one line of the table in one test set; None if the type has no scores there."""
    row = next((row for row in rows if row.prompt_type == kind), None)
    return row and (row.heads[head] if head else row.clip)


def _header(name: str, first: ZeroShotScores) -> str:
    skipped = f"\n+{first.skipped} skipped" if first.skipped else ""
    return f"{name}\n{first.clip.items} items{skipped}"


def _mean(found: Sequence[Scores | None]) -> str:
    """The mean over the test sets; empty if one of them has no scores."""
    known = [(scores.uar, scores.war) for scores in found if scores]
    return _words(*np.mean(known, axis=0)) if len(known) == len(found) else ""


def _rounded(scores: Scores) -> dict[str, float]:
    return {"uar": round(scores.uar, 3), "war": round(scores.war, 3)}


def _words(uar: float, war: float) -> str:
    return f"{uar:.2f} / {war:.2f}"
