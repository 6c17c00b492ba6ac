"""The scores of some test sets with some heads: a table for the terminal, JSON for programs."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from rich.console import Group
from rich.text import Text

from expclip_cache.cache import Json
from expclip_cache.reporting.text_table import WIDTH, Column, first_of_each, tables_within_width, type_name
from expclip_cache.scoring import Scores, ZeroShotScores, short_names
from expclip_cache.statistics import (
    Interval,
    ScoreDraws,
    StatisticsSettings,
    interval_of,
    intervals,
    item_outcomes,
    mean_draws,
    paired_outcomes,
    score_draws,
)

SETTINGS = StatisticsSettings()
"""Of the intervals."""


def zero_shot_to_json(scored: Mapping[str, Sequence[ZeroShotScores]]) -> list[Json]:
    """One JSON object per test set; scores in percent, with their 95 % intervals over the test items.

    Args:
        scored: cache of a test set -> its scores, one item per prompt type.
    """
    named = zip(short_names(list(scored)), scored.items(), strict=True)
    return [
        {
            "features": images,
            "items": rows[0].clip.items,
            "skipped": rows[0].skipped,
            "prompt_types": {
                str(row.prompt_type): {
                    "clip": _with_intervals(row.clip, _draws(name, row, None)),
                    "heads": {head: _head_to_json(name, row, head) for head in row.heads},
                }
                for row in rows
            },
        }
        for name, (images, rows) in named
    ]


def zero_shot_to_terminal(scored: Mapping[str, Sequence[ZeroShotScores]]) -> Group:
    """A row per prompt type and head, a column per test set, and a column for the mean over several test sets.

    Each row has two lines: UAR and WAR, and below them the interval of UAR or, with a head, its gain and interval.
    """
    every = [row for rows in scored.values() for row in rows]
    lines = [(kind, head) for kind in sorted({row.prompt_type for row in every}) for head in (None, *every[0].heads)]
    kinds = [kind for kind, _ in lines]
    fixed = [
        Column("prompts", _two_lines(first_of_each([type_name(kind) for kind in kinds], kinds)), "left"),
        Column("head", _two_lines([head or "none: plain CLIP" for _, head in lines]), "left"),
    ]
    sets = []
    found: list[list[tuple[Scores, ScoreDraws]]] = [[] for _ in lines]
    for name, rows in zip(short_names(list(scored)), scored.values(), strict=True):
        of_type = {row.prompt_type: row for row in rows}
        cells = []
        for number, (kind, head) in enumerate(lines):
            if row := of_type.get(kind):
                scores, draws = (row.heads[head] if head else row.clip), _draws(name, row, head)
                found[number].append((scores, draws))
                cells += _cell(scores.uar, scores.war, draws, head)
            else:
                cells += ["", ""]
        sets.append(Column(_header(name, rows[0]), cells))
    if len(scored) > 1:
        means = (_mean(of_line, head, len(scored)) for of_line, (_, head) in zip(found, lines, strict=True))
        sets.append(Column("mean", [cell for pair in means for cell in pair]))
    ends = [2 * number for number in range(1, len(lines)) if kinds[number] != kinds[number - 1]]
    gains = ", and of the gain (+) over plain CLIP" if every[0].heads else ""
    note = fill(f"In brackets: {SETTINGS.confidence:g} % intervals of UAR over the test items{gains}.", WIDTH)
    return Group(*tables_within_width("UAR / WAR in percent", fixed, sets, ends), Text(note))


def _two_lines(cells: Sequence[str]) -> list[str]:
    """The cells, each above an empty one."""
    return [line for cell in cells for line in (cell, "")]


def _draws(test_set: str, row: ZeroShotScores, head: str | None) -> ScoreDraws:
    """Of plain CLIP's scores, or of the gains of a head."""
    found, clip = row.predictions, row.predictions.clip[row.prompt_type] == row.predictions.truth
    c = len(found.classes)
    if head is None:
        return score_draws(item_outcomes(found.truth, clip.astype(float), c), SETTINGS, test_set)
    right = _right(row, head)
    return score_draws(paired_outcomes(found.truth, right, clip.astype(float), c), SETTINGS, test_set)


def _right(row: ZeroShotScores, head: str) -> np.ndarray:
    """(n,) 1 for each item that a head classifies correctly, else 0."""
    found = row.predictions
    return (found.expclip[row.prompt_type][head] == found.truth).astype(float)


def _cell(uar: float, war: float, draws: ScoreDraws, head: str | None) -> list[str]:
    """The two lines of one row in one column."""
    interval = interval_of(draws.uar, SETTINGS)
    gain = f"{draws.uar[0]:+.1f} " if head else ""
    return [f"{uar:.2f} / {war:.2f}", f"{gain}[{interval.low:.1f}, {interval.high:.1f}]"]


def _mean(found: Sequence[tuple[Scores, ScoreDraws]], head: str | None, test_sets: int) -> list[str]:
    """The mean over the test sets; empty if one of them has no scores."""
    if len(found) < test_sets:
        return ["", ""]
    uar, war = np.mean([(scores.uar, scores.war) for scores, _ in found], axis=0)
    return _cell(uar, war, mean_draws([draws for _, draws in found]), head)


def _header(name: str, first: ZeroShotScores) -> str:
    skipped = f"\n+{first.skipped} skipped" if first.skipped else ""
    return f"{name}\n{first.clip.items} items{skipped}"


def _head_to_json(test_set: str, row: ZeroShotScores, head: str) -> Json:
    truth, c = row.predictions.truth, len(row.predictions.classes)
    own = score_draws(item_outcomes(truth, _right(row, head), c), SETTINGS, test_set)
    gain = _draws(test_set, row, head)
    of_gain = intervals(gain, SETTINGS)
    return {
        **_with_intervals(row.heads[head], own),
        "uar_gain": round(float(gain.uar[0]), 3),
        "uar_gain_interval": _ends(of_gain.uar),
        "war_gain": round(float(gain.war[0]), 3),
        "war_gain_interval": _ends(of_gain.war),
    }


def _with_intervals(scores: Scores, draws: ScoreDraws) -> dict[str, Json]:
    found = intervals(draws, SETTINGS)
    return {
        "uar": round(scores.uar, 3),
        "uar_interval": _ends(found.uar),
        "war": round(scores.war, 3),
        "war_interval": _ends(found.war),
    }


def _ends(interval: Interval) -> list[float]:
    return [round(interval.low, 3), round(interval.high, 3)]
