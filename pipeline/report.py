"""The results of all test sets side by side: one summary for machines, one table for people."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics import scores
from pipeline.score import Predictions


@dataclass(frozen=True)
class Row:
    """Plain CLIP against Exp-CLIP on one test set under one prompt type; scores in percent.

    Attributes:
        n: scored items; `skipped` are those that could not be read.
        expclip_uar, expclip_war: means over the seeds; the `_std` are sample standard deviations, 0 for one seed.
    """

    dataset: str
    prompt_type: int
    n: int
    skipped: int
    seeds: int
    clip_uar: float
    clip_war: float
    expclip_uar: float
    expclip_uar_std: float
    expclip_war: float
    expclip_war_std: float

    @property
    def uar_gain(self) -> float:
        """What the head adds to plain CLIP's UAR, in points."""
        return self.expclip_uar - self.clip_uar

    def to_json(self) -> dict[str, float | int]:
        """Numbers by name, rounded to a thousandth of a percent."""
        names = [name for name in self.__dataclass_fields__ if name not in ("dataset", "prompt_type")]
        values = {name: getattr(self, name) for name in names} | {"uar_gain": self.uar_gain}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def rows_of(dataset: str, predictions: Predictions, skipped: int) -> list[Row]:
    """One row per prompt type."""
    rows = []
    for kind, predicted in predictions.clip.items():
        clip = scores(predictions.confusion(predicted))
        heads = [scores(predictions.confusion(found)) for found in predictions.expclip[kind].values()]
        uar, war = (np.array([getattr(head, name) for head in heads]) for name in ("uar", "war"))
        spread = 1 if len(heads) > 1 else 0
        rows.append(
            Row(
                dataset,
                kind,
                len(predictions.rows),
                skipped,
                len(heads),
                clip.uar,
                clip.war,
                float(uar.mean()),
                float(uar.std(ddof=spread)),
                float(war.mean()),
                float(war.std(ddof=spread)),
            )
        )
    return rows


def summary(rows: Sequence[Row]) -> dict[str, dict[str, dict]]:
    """Dataset -> `prompt_type_<k>` -> numbers by name, in percent."""
    tree: dict[str, dict[str, dict]] = {}
    for row in rows:
        tree.setdefault(row.dataset, {})[f"prompt_type_{row.prompt_type}"] = row.to_json()
    return tree


def rows_from_summary(tree: Mapping[str, Mapping[str, Mapping]]) -> list[Row]:
    """The inverse of `summary`, up to its rounding."""
    return [
        Row(dataset, int(kind.removeprefix("prompt_type_")), **{k: v for k, v in values.items() if k != "uar_gain"})
        for dataset, kinds in tree.items()
        for kind, values in kinds.items()
    ]


def to_csv(rows: Sequence[Row]) -> str:
    """The table as csv, scores in percent."""
    text = io.StringIO()
    records = [{"dataset": row.dataset, "prompt_type": row.prompt_type} | row.to_json() for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def to_terminal(rows: Sequence[Row]):
    """The table as a `rich` renderable."""
    from rich.table import Table

    table = Table(title="Zero-shot facial expression recognition, UAR / WAR in percent")
    for name in ("test set", "prompts", "items", "CLIP", "Exp-CLIP", "gain in UAR"):
        table.add_column(name, justify="left" if name == "test set" else "right", no_wrap=True)
    previous = None
    for row in rows:
        if previous not in (None, row.dataset):
            table.add_section()
        table.add_row(
            row.dataset if previous != row.dataset else "",
            f"type {row.prompt_type}",
            f"{row.n}" if not row.skipped else f"{row.n} (+{row.skipped} unreadable)",
            f"{row.clip_uar:.1f} / {row.clip_war:.1f}",
            f"{row.expclip_uar:.1f} ±{row.expclip_uar_std:.1f} / {row.expclip_war:.1f} ±{row.expclip_war_std:.1f}",
            f"{row.uar_gain:+.1f}",
        )
        previous = row.dataset
    seeds = rows[0].seeds
    table.caption = f"Exp-CLIP: mean ± standard deviation over {seeds} seed{'s' * (seeds != 1)} of the projection head"
    return table
