"""Score one test set with plain CLIP and every head: python -m stages.score NAME."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np

from pipeline.console import orderly
from pipeline.heads.head_file import read_head
from pipeline.params import load_params
from pipeline.paths import head_file, image_features, prompt_features, score_results
from pipeline.prompts import prompt_table
from pipeline.reporting.provenance import provenance
from pipeline.scoring.changed_faces import changed_faces
from pipeline.scoring.results import summary
from pipeline.scoring.score import Predictions, class_shares, embeddings_by_text, predict_dataset, rows_of
from pipeline.shards.reader import FeatureCache
from pipeline.stage_times import recorded_time


def main(name: str) -> None:
    """Write results/score/NAME: metrics, confusion matrices, details for the page, two tables for confusion plots."""
    params = load_params()
    images = FeatureCache(image_features(params.clip.name, name))
    embeddings = embeddings_by_text(FeatureCache(prompt_features(params.clip.name)))
    prompts = prompt_table(params.prompts.set, params.prompts.types, images.classes)
    fits = params.train.heads
    heads = {name: read_head(head_file(name)) for names in fits.values() for name in names}
    predictions = predict_dataset(images, embeddings, prompts, heads, params.prompts.aggregation)
    out = score_results(name)
    out.mkdir(parents=True, exist_ok=True)
    rows = rows_of(name, predictions, len(images.skipped), fits)
    (out / "metrics.json").write_text(json.dumps(summary(rows)[name], indent=2) + "\n")
    (out / "confusion.json").write_text(json.dumps(confusions(predictions)) + "\n")
    kind = max(predictions.clip)
    first = next(iter(heads))
    chosen = [prompt for prompt in prompts if prompt.type == kind]
    clip, expclip = (
        class_shares(images, embeddings, chosen, head, params.prompts.aggregation) for head in (None, heads[first])
    )
    paths = [os.fsdecode(path) for path in images.paths(predictions.rows)]
    faces = changed_faces(predictions.truth, clip, expclip, paths)
    details = {"prompt_type": kind, "head": first, "images": provenance(images), "faces": faces}
    (out / "details.json").write_text(json.dumps(details, indent=1) + "\n")
    write_pairs(out / "clip.csv", predictions, predictions.clip[kind])
    write_pairs(out / "expclip.csv", predictions, predictions.expclip[kind][first])


def confusions(predictions: Predictions) -> dict:
    """Every confusion matrix as nested lists, rows = truth."""
    return {
        "classes": predictions.classes,
        "clip": {kind: predictions.confusion(found).tolist() for kind, found in predictions.clip.items()},
        "expclip": {
            kind: {head: predictions.confusion(found).tolist() for head, found in by_head.items()}
            for kind, by_head in predictions.expclip.items()
        },
    }


def write_pairs(path: Path, predictions: Predictions, predicted: np.ndarray) -> None:
    """One line an item, which is what DVC's confusion plots count."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["actual", "predicted"])
        names = predictions.classes
        table.writerows((names[a], names[b]) for a, b in zip(predictions.truth, predicted, strict=True))


if __name__ == "__main__":
    with orderly(), recorded_time(f"score@{sys.argv[1]}"):
        main(sys.argv[1])
