"""The scores of one test set, for people and for programs."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from pipeline.scoring.head_scores import HeadScores
from pipeline.scoring.metrics import Scores


def scores_json(images: Path, rows: Sequence[HeadScores]) -> dict:
    """As JSON values, scores in percent."""
    return {
        "features": str(images),
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


def _numbers(scores: Scores) -> dict[str, float]:
    return {"uar": round(scores.uar, 3), "war": round(scores.war, 3)}


def scores_table(images: Path, rows: Sequence[HeadScores]) -> Table:
    """As a table for a terminal."""
    skipped = f", {rows[0].skipped} unreadable" if rows[0].skipped else ""
    table = Table(title=f"{images}: {rows[0].clip.items} items{skipped}; UAR / WAR in percent")
    table.add_column("prompts", no_wrap=True)
    for name in ("CLIP", *rows[0].heads):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [f"{scores.uar:.2f} / {scores.war:.2f}" for scores in (row.clip, *row.heads.values())]
        table.add_row(f"type {row.prompt_type}", *cells)
    return table
