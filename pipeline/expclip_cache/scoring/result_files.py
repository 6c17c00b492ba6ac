"""The result files of one test set: metrics.json, confusion.json, details.json and two tables for confusion plots."""

import csv
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from expclip_cache.cache import Json
from expclip_cache.heads import Fit
from expclip_cache.scoring.metrics import scores
from expclip_cache.scoring.predictions import Predictions
from expclip_cache.scoring.results import ScoreRow, summary


def write_score_files(
    folder: Path,
    dataset: str,
    predictions: Predictions,
    heads: Mapping[Fit, Sequence[str]],
    images: Mapping[str, Json],
    changes: Json,
) -> None:
    """Write the scores, all confusion matrices, the details for the report page and the two tables.

    Details and tables show the highest prompt type and the first head.

    Args:
        folder: where the files go; made if missing.
        dataset: name of the test set.
        predictions: its predictions.
        heads: how heads were fitted -> their names, see `TrainSettings.heads`.
        images: `FeatureCache.describe()` of the scored cache.
        changes: see `prediction_changes`, of the same prompt type and head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = max(predictions.clip)
    head = next(iter(predictions.expclip[kind]))
    rows = _score_rows(dataset, predictions, len(images["skipped"]), heads)
    details = {"prompt_type": kind, "head": head, "images": images, "faces": changes}
    _write_json(folder / "metrics.json", summary(rows)[dataset], indent=2)
    _write_json(folder / "confusion.json", _confusion_matrices(predictions), indent=None)
    _write_json(folder / "details.json", details, indent=1)
    _write_pairs(folder / "clip.csv", predictions, predictions.clip[kind])
    _write_pairs(folder / "expclip.csv", predictions, predictions.expclip[kind][head])


def _score_rows(
    dataset: str, predictions: Predictions, skipped: int, heads: Mapping[Fit, Sequence[str]]
) -> list[ScoreRow]:
    """One row per prompt type and kind of head; `skipped` counts the rows of the cache without features."""
    rows = []
    for kind, (fit, names) in product(predictions.clip, list(heads.items())):
        clip = scores(predictions.confusion(predictions.clip[kind]))
        expclip = [scores(predictions.confusion(predictions.expclip[kind][name])) for name in names]
        uar, war = np.array([found.uar for found in expclip]), np.array([found.war for found in expclip])
        ddof = 1 if len(expclip) > 1 else 0
        rows.append(
            ScoreRow(
                dataset=dataset,
                prompt_type=kind,
                head=fit,
                n=len(predictions.rows),
                skipped=skipped,
                seeds=len(expclip),
                clip_uar=clip.uar,
                clip_war=clip.war,
                expclip_uar=float(uar.mean()),
                expclip_uar_std=float(uar.std(ddof=ddof)),
                expclip_war=float(war.mean()),
                expclip_war_std=float(war.std(ddof=ddof)),
            )
        )
    return rows


def _confusion_matrices(predictions: Predictions) -> Json:
    """Every confusion matrix as nested lists; rows are the true class."""
    return {
        "classes": predictions.classes,
        "clip": {kind: predictions.confusion(found).tolist() for kind, found in predictions.clip.items()},
        "expclip": {
            kind: {head: predictions.confusion(found).tolist() for head, found in by_head.items()}
            for kind, by_head in predictions.expclip.items()
        },
    }


def _write_pairs(path: Path, predictions: Predictions, predicted: np.ndarray) -> None:
    """One line per item, the input of DVC's confusion plots."""
    names = predictions.classes
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["actual", "predicted"])
        table.writerows((names[a], names[b]) for a, b in zip(predictions.truth, predicted, strict=True))


def _write_json(path: Path, value: Json, indent: int | None) -> None:
    path.write_text(json.dumps(value, indent=indent) + "\n")
