"""The results of all test sets side by side: a terminal table, csv files, and a few headline numbers for DVC."""

import csv
import io
from collections.abc import Sequence

from rich.table import Table

from expclip_cache.scoring import ScoreRow


def scores_to_csv(rows: Sequence[ScoreRow]) -> str:
    """The rows as csv; scores in percent."""
    text = io.StringIO()
    records = [
        {"dataset": row.dataset, "prompt_type": row.prompt_type, "head": row.head} | row.to_json() for row in rows
    ]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def headline_rows(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """One row per test set: its highest prompt type, with the kind of head that comes first."""
    chosen: dict[str, ScoreRow] = {}
    for row in rows:
        if row.dataset not in chosen or row.prompt_type > chosen[row.dataset].prompt_type:
            chosen[row.dataset] = row
    return list(chosen.values())


def headline_metrics(rows: Sequence[ScoreRow]) -> dict[str, dict[str, float]]:
    """The numbers that `dvc exp show` and `dvc metrics diff` compare, few enough for one line.

    Returns:
        `mean`: means over the test sets of Exp-CLIP's UAR, its gain over CLIP, and its standard deviation over the
        seeds. `uar`: Exp-CLIP's UAR of each test set. In percent and points, rounded to a hundredth.
    """
    shown = headline_rows(rows)
    means = {
        "uar": sum(row.expclip_uar for row in shown) / len(shown),
        "gain": sum(row.uar_gain for row in shown) / len(shown),
        "std": sum(row.expclip_uar_std for row in shown) / len(shown),
    }
    return {
        "mean": {name: round(value, 2) for name, value in means.items()},
        "uar": {row.dataset: round(row.expclip_uar, 2) for row in shown},
    }


def headline_csv(rows: Sequence[ScoreRow]) -> str:
    """Exp-CLIP's UAR of each test set as csv, for the bar plot of `dvc plots`."""
    lines = [f"{row.dataset},{row.expclip_uar:.3f}\n" for row in headline_rows(rows)]
    return "".join(["test_set,uar\n", *lines])


def scores_to_terminal(rows: Sequence[ScoreRow]) -> Table:
    """The rows as a terminal table; it has a column for the kind of head only if there are several kinds."""
    several = len({row.head for row in rows}) > 1
    table = Table(title="Zero-shot facial expression recognition, UAR / WAR in percent", pad_edge=False)
    for name in ("test set", "prompts", "items", "CLIP", *["head"] * several, "Exp-CLIP", "gain in UAR"):
        table.add_column(name, justify="left" if name == "test set" else "right", no_wrap=True)
    previous = None
    for row in rows:
        uar_std, war_std = (f" ±{std:.1f}" * (row.seeds > 1) for std in (row.expclip_uar_std, row.expclip_war_std))
        if previous not in (None, row.dataset):
            table.add_section()
        table.add_row(
            row.dataset if previous != row.dataset else "",
            f"type {row.prompt_type}",
            f"{row.n}" if not row.skipped else f"{row.n} (+{row.skipped} skipped)",
            f"{row.clip_uar:.1f} / {row.clip_war:.1f}",
            *[row.head] * several,
            f"{row.expclip_uar:.1f}{uar_std} / {row.expclip_war:.1f}{war_std}",
            f"{row.uar_gain:+.1f}",
        )
        previous = row.dataset
    seeds = max(row.seeds for row in rows)
    table.caption = f"Exp-CLIP: mean ± standard deviation over {seeds} seed{'s' * (seeds != 1)} of the projection head"
    return table
