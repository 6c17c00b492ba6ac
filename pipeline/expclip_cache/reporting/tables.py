"""The results of all test sets side by side: csv and terminal for people, a short list of numbers for DVC."""

import csv
import io
from collections.abc import Sequence

from rich.table import Table

from expclip_cache.scoring import Row


def to_csv(rows: Sequence[Row]) -> str:
    """The table as csv, scores in percent."""
    text = io.StringIO()
    records = [
        {"dataset": row.dataset, "prompt_type": row.prompt_type, "head": row.head} | row.to_json() for row in rows
    ]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def headline(rows: Sequence[Row]) -> list[Row]:
    """The row that stands for each test set: its highest prompt type, the first way of fitting."""
    chosen: dict[str, Row] = {}
    for row in rows:
        if row.dataset not in chosen or row.prompt_type > chosen[row.dataset].prompt_type:
            chosen[row.dataset] = row
    return list(chosen.values())


def to_metrics(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """What `dvc exp show` and `dvc metrics diff` compare: few enough numbers to fit a line.

    Returns:
        `mean` over the test sets (Exp-CLIP's UAR, its gain over CLIP, and the standard deviation over seeds), and
        `uar` of each test set; in percent and points, rounded to a hundredth.
    """
    shown = headline(rows)
    means = {
        "uar": sum(row.expclip_uar for row in shown) / len(shown),
        "gain": sum(row.uar_gain for row in shown) / len(shown),
        "std": sum(row.expclip_uar_std for row in shown) / len(shown),
    }
    return {
        "mean": {name: round(value, 2) for name, value in means.items()},
        "uar": {row.dataset: round(row.expclip_uar, 2) for row in shown},
    }


def to_bars(rows: Sequence[Row]) -> str:
    """Exp-CLIP's UAR of each test set as csv, for the bar plot of `dvc plots`."""
    lines = [f"{row.dataset},{row.expclip_uar:.3f}\n" for row in headline(rows)]
    return "".join(["test_set,uar\n", *lines])


def to_terminal(rows: Sequence[Row]) -> Table:
    """The table for a terminal; the kind of head has a column only where there are several."""
    several = len({row.head for row in rows}) > 1
    table = Table(title="Zero-shot facial expression recognition, UAR / WAR in percent", pad_edge=False)
    for name in ("test set", "prompts", "items", "CLIP", *["head"] * several, "Exp-CLIP", "gain in UAR"):
        table.add_column(name, justify="left" if name == "test set" else "right", no_wrap=True)
    previous = None
    for row in rows:
        spread = [f" ±{value:.1f}" * (row.seeds > 1) for value in (row.expclip_uar_std, row.expclip_war_std)]
        if previous not in (None, row.dataset):
            table.add_section()
        table.add_row(
            row.dataset if previous != row.dataset else "",
            f"type {row.prompt_type}",
            f"{row.n}" if not row.skipped else f"{row.n} (+{row.skipped} unreadable)",
            f"{row.clip_uar:.1f} / {row.clip_war:.1f}",
            *[row.head] * several,
            f"{row.expclip_uar:.1f}{spread[0]} / {row.expclip_war:.1f}{spread[1]}",
            f"{row.uar_gain:+.1f}",
        )
        previous = row.dataset
    seeds = max(row.seeds for row in rows)
    table.caption = f"Exp-CLIP: mean ± standard deviation over {seeds} seed{'s' * (seeds != 1)} of the projection head"
    return table
