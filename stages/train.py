"""Fit the projection heads on cached features: python stages/train.py."""

import csv
import json
from collections.abc import Sequence

import numpy as np

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.heads import fit_contrastive, fit_ridge
from expclip_cache.settings import (
    MOMENTS,
    Settings,
    head_file,
    image_features,
    load_settings,
    target_draws,
    training_results,
)


def main(report: Reporter) -> None:
    """Write heads/*.safetensors and results/train."""
    settings = load_settings()
    train = settings.train
    images = FeatureCache(image_features(settings.clip.name, train.dataset))
    draws = [FeatureCache(folder) for folder in target_draws(settings.llm, train.dataset)]
    metrics: dict[str, object] = {"rows": len(paired_rows(images, *draws))}
    losses = np.empty((0, 0))
    if "contrastive" in train.fit:
        steps_and_loss, losses = write_contrastive_heads(settings, images, draws, report)
        metrics |= steps_and_loss
    if "ridge" in train.fit:
        metrics["ridge"] = write_ridge_head(settings, images, draws[0], report)
    out = training_results()
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    details = {"images": images.describe(), "targets": draws[0].describe()}
    (out / "details.json").write_text(json.dumps(details, indent=1) + "\n")
    with (out / "loss.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seed", "epoch", "loss"])
        for seed, path in zip(train.seeds, losses, strict=False):
            table.writerows([seed, epoch, f"{loss:.6f}"] for epoch, loss in enumerate(path, start=1))


def write_contrastive_heads(
    settings: Settings, images: FeatureCache, draws: Sequence[FeatureCache], report: Reporter
) -> tuple[dict[str, float], np.ndarray]:
    """One head per seed; returns metrics and the (s, epochs) losses."""
    train = settings.train
    heads = fit_contrastive(images, draws, train, device=settings.run.device, report=report)
    for number, name in enumerate(train.heads["contrastive"]):
        heads.write(number, head_file(name), dataset=train.dataset)
    final = round(float(heads.losses[:, -1].mean()), 6)
    report.say(f"final loss {final:.4f} on {heads.rows} images, mean of {len(train.seeds)} seeds")
    return {"steps": train.epochs * (heads.rows // train.batch_size), "final_loss": final}, heads.losses


def write_ridge_head(
    settings: Settings, images: FeatureCache, targets: FeatureCache, report: Reporter
) -> dict[str, float]:
    """One head in closed form; returns metrics."""
    train = settings.train
    head = fit_ridge(
        images,
        targets,
        train.ridge,
        batch_size=train.batch_size,
        moments=MOMENTS,
        run=settings.run,
        report=report,
    )
    report.say(f"ridge: {head}")
    (name,) = train.heads["ridge"]
    head.write(head_file(name), dataset=train.dataset)
    return head.metrics


if __name__ == "__main__":
    with handle_errors(), recorded_time("train") as report:
        main(report)
