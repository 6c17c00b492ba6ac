"""What the fits found, as the files that DVC and the report read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from expclip_cache.base import csv_text
from expclip_cache.cache import Json
from expclip_cache.heads.study import StudyHead

Fitted = Mapping[tuple[str, str], Sequence[StudyHead]]
"""Backbone and teacher -> their heads."""


def write_head_results(folder: Path, fitted: Fitted, described: Mapping[str, Json]) -> None:
    """Write metrics.json, loss.csv and details.json.

    Args:
        folder: made if missing.
        fitted: the heads of a study.
        described: what details.json holds: the caches that the heads were fitted on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(_metrics(fitted), indent=2) + "\n")
    (folder / "details.json").write_text(json.dumps(described, indent=1) + "\n")
    (folder / "loss.csv").write_text(_losses(fitted))


def _metrics(fitted: Fitted) -> dict[str, Json]:
    """Backbone -> teacher -> head -> numbers; for contrastive heads the mean loss of the last epoch over the seeds."""
    tree: dict[str, Json] = {}
    for (backbone, teacher), heads in fitted.items():
        of_pair = tree.setdefault(backbone, {}).setdefault(teacher, {})
        for name in dict.fromkeys(head.name for head in heads):
            found = [head.found for head in heads if head.name == name]
            numbers = {key: value for key, value in found[0].items() if key != "losses"}
            if "losses" in found[0]:
                numbers["final_loss"] = round(float(np.mean([one["losses"][-1] for one in found])), 6)
            of_pair[name] = numbers
    return tree


def _losses(fitted: Fitted) -> str:
    """The loss of every epoch of every contrastive head as csv, in nats."""
    rows = (
        (backbone, teacher, head.name, head.seed, epoch, f"{loss:.6f}")
        for (backbone, teacher), heads in fitted.items()
        for head in heads
        for epoch, loss in enumerate(head.found.get("losses", ()), start=1)
    )
    return csv_text(["backbone", "teacher", "head", "seed", "epoch", "loss"], rows)
