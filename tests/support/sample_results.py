"""Result files as the stages write them, with made-up numbers, for tests of the page and of rerun comparison."""

import csv
import json
from pathlib import Path

import numpy as np

from expclip_cache.base.classes import CANONICAL
from expclip_cache.reporting.page.content import ReportInputs
from expclip_cache.scoring.changed_predictions import prediction_changes
from expclip_cache.scoring.percentages import softmax_percent
from expclip_cache.scoring.predictions import Predictions
from expclip_cache.scoring.result_files import write_score_files
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import score_results, training_results
from expclip_cache.settings.settings import Settings
from stages.report import shown_settings

CONFIG = Path(__file__).parents[2] / "configs/demo.yaml"
SKIPPED = {"row": 3, "path": "fear/<b>bold</b>.png", "reason": "is truncated & bad"}


def write_results(
    folder: Path, *, classes: int = 7, items: int = 210, path: str = "{name}/{item:05d}.png", seeds: int = 3
) -> Settings:
    """Fill `folder`/results for the demo's test sets; the first set has a skipped row.

    Args:
        path: of an item; `{name}` is its class and `{item}` its number.

    Returns:
        The settings of these results, written to `folder`/params.yaml too.
    """
    text = CONFIG.read_text().replace("seeds: [1, 2, 3, 4, 5]", f"seeds: {list(range(1, seeds + 1))}")
    (folder / "params.yaml").write_text(text)
    settings = load_settings(folder / "params.yaml")
    for number, dataset in enumerate(settings.score.datasets):
        _write_scores(folder / "results/score" / dataset, dataset, number, settings, classes, items, path)
    _write_training(folder / "results/train", settings.train.seeds)
    return settings


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


def _write_scores(
    folder: Path, dataset: str, seed: int, settings: Settings, classes: int, items: int, path: str
) -> None:
    random = np.random.default_rng(seed)
    truth = np.arange(items) % classes
    one_hot = np.eye(classes)[truth]
    names, heads, types = CANONICAL[:classes], settings.train.heads, settings.prompts.types

    def similarities(strength: float) -> np.ndarray:
        return 0.2 + 0.02 * random.standard_normal((items, classes)) + strength * one_hot

    clip = {kind: similarities(0.025) for kind in types}
    expclip = {kind: {head: similarities(0.035) for of_fit in heads.values() for head in of_fit} for kind in types}
    predictions = Predictions(
        classes=names,
        rows=np.arange(items),
        truth=truth,
        clip={kind: found.argmax(axis=1) for kind, found in clip.items()},
        expclip={kind: {head: found.argmax(axis=1) for head, found in by.items()} for kind, by in expclip.items()},
    )
    highest = max(types)
    before = softmax_percent(clip[highest], 100.0)
    after = softmax_percent(next(iter(expclip[highest].values())), 100.0)
    paths = [path.format(name=names[label], item=item) for item, label in enumerate(truth)]
    changes = prediction_changes(truth, before, after, paths)
    images = _cache_description(items, [] if seed else [SKIPPED])
    write_score_files(folder, dataset, predictions, heads, images, changes)


def _write_training(folder: Path, seeds: tuple[int, ...]) -> None:
    folder.mkdir()
    _write_json(folder / "metrics.json", {"rows": 10000, "steps": 780, "final_loss": 3.214})
    _write_json(
        folder / "details.json", {"images": _cache_description(10000, []), "targets": _cache_description(10000, [])}
    )
    with (folder / "loss.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["seed", "epoch", "loss"])
        for seed in seeds:
            table.writerows([seed, epoch, 3.2 + 2.1 / (epoch + 0.1 * seed)] for epoch in range(1, 21))


def _cache_description(rows: int, skipped: list[dict]) -> dict:
    """What `FeatureCache.describe` returns."""
    settings = {"encoder": "clip-image", "model": "demo", "weights": "pretrained", "manifest": "a" * 64, "code": 1}
    encoder = {"weights_sha256": "b" * 64, "width": 128, "revision": None, "library": "open_clip 3.3.0, torch 2.13.0"}
    return {
        "fingerprint": "0123456789abcdef" * 4,
        "rows": rows,
        "settings": settings,
        "encoder": encoder,
        "skipped": skipped,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
