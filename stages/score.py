"""Score one test set with plain CLIP and every head: python stages/score.py NAME."""

import csv
import json
import sys
from pathlib import Path

import numpy as np

from expclip_cache.base import orderly, recorded_time
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import read_head
from expclip_cache.prompts import prompt_table
from expclip_cache.scoring import (
    Predictions,
    changed_faces,
    class_shares,
    embeddings_by_text,
    predict_dataset,
    rows_of,
    summary,
)
from expclip_cache.settings import head_file, image_features, load_settings, prompt_features, score_results


def main(name: str) -> None:
    """Write results/score/NAME: metrics, confusion matrices, details for the page, two tables for confusion plots."""
    params = load_settings()
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
    paths = images.paths(predictions.rows)
    faces = changed_faces(predictions.truth, clip, expclip, paths)
    details = {"prompt_type": kind, "head": first, "images": images.describe(), "faces": faces}
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
