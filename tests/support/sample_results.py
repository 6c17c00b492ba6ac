"""Result files as the stages write them, with made-up numbers: for tests of the page."""

import csv
import json
from pathlib import Path

import numpy as np

from expclip_cache.base.classes import CANONICAL
from expclip_cache.reporting.page.content import ReportInputs
from expclip_cache.scoring.face_changes import changed_faces, shares
from expclip_cache.scoring.metrics import confusion
from expclip_cache.scoring.predictions import Predictions, rows_of
from expclip_cache.scoring.results import summary
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import score_results, training_results
from expclip_cache.settings.settings import Settings
from stages.report import shown_settings

CONFIG = Path(__file__).parents[2] / "configs/demo.yaml"


def write_results(
    folder: Path, *, classes: int = 7, items: int = 210, path: str = "{name}/{item:05d}.png", seeds: int = 3
) -> Settings:
    """Fill `folder`/results for the demo's test sets.

    Args:
        path: of an item; `{name}` is its class and `{item}` its number.

    Returns:
        The params they belong to, `folder`/params.yaml too.
    """
    text = CONFIG.read_text().replace("seeds: [1, 2, 3, 4, 5]", f"seeds: {list(range(1, seeds + 1))}")
    (folder / "params.yaml").write_text(text)
    params = load_settings(folder / "params.yaml")
    names = CANONICAL[:classes]
    heads = params.train.heads
    for number, dataset in enumerate(params.score.datasets):
        random = np.random.default_rng(number)
        truth = np.arange(items) % classes
        own = np.eye(classes)[truth]

        def similar(strength, random=random, own=own):
            return 0.2 + 0.02 * random.standard_normal((items, classes)) + strength * own

        clip = {kind: similar(0.025) for kind in params.prompts.types}
        head = {
            kind: {head: similar(0.035) for heads_ in heads.values() for head in heads_}
            for kind in params.prompts.types
        }
        rows = np.arange(items)
        predictions = Predictions(
            names,
            rows,
            truth,
            {kind: found.argmax(axis=1) for kind, found in clip.items()},
            {kind: {name: f.argmax(axis=1) for name, f in by.items()} for kind, by in head.items()},
        )
        out = folder / "results/score" / dataset
        out.mkdir(parents=True)
        skipped = [] if number else [{"row": 3, "path": "fear/<b>bold</b>.png", "reason": "is truncated & bad"}]
        _json(out / "metrics.json", summary(rows_of(dataset, predictions, len(skipped), heads))[dataset])
        matrices = {
            "classes": names,
            "clip": {k: confusion(truth, p, classes).tolist() for k, p in predictions.clip.items()},
            "expclip": {
                k: {n: confusion(truth, p, classes).tolist() for n, p in by.items()}
                for k, by in predictions.expclip.items()
            },
        }
        _json(out / "confusion.json", matrices)
        kind = max(params.prompts.types)
        first = next(iter(head[kind]))
        paths = [path.format(name=names[label], item=item) for item, label in enumerate(truth)]
        faces = changed_faces(truth, shares(clip[kind], 100.0), shares(head[kind][first], 100.0), paths)
        _json(
            out / "details.json",
            {"prompt_type": kind, "head": first, "images": _source(items, skipped), "faces": faces},
        )
    out = folder / "results/train"
    out.mkdir()
    _json(out / "metrics.json", {"rows": 10000, "steps": 780, "final_loss": 3.214})
    _json(out / "details.json", {"images": _source(10000, []), "targets": _source(10000, [])})
    with (out / "loss.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["seed", "epoch", "loss"])
        for seed in params.train.seeds:
            table.writerows([seed, epoch, 3.2 + 2.1 / (epoch + 0.1 * seed)] for epoch in range(1, 21))
    return params


def inputs_of(settings: Settings, roots: dict[str, Path] | None = None) -> ReportInputs:
    """What the page is made from, for the results in the current folder."""
    return ReportInputs(
        scores={name: score_results(name) for name in settings.score.datasets},
        roots=roots or {},
        training=training_results(),
        trained_on=settings.train.dataset,
        heads=settings.train.heads,
        settings=shown_settings(settings),
        versions={"python": "3.11.7"},
    )


def _source(rows: int, skipped: list) -> dict:
    settings = {"encoder": "clip-image", "model": "demo", "weights": "pretrained", "manifest": "a" * 64, "code": 1}
    encoder = {"weights_sha256": "b" * 64, "width": 128, "revision": None, "library": "open_clip 3.3.0, torch 2.13.0"}
    return {"fingerprint": "0123456789abcdef" * 4, "rows": rows, "settings": settings, "encoder": encoder} | {
        "skipped": skipped
    }


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
