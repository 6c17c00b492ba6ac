"""Train the projection head on cached features: python stages/train.py."""

import csv
import json
from collections.abc import Mapping, Sequence

import numpy as np

from expclip_cache.base import Reporter, orderly, recorded_time
from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.heads import CachedRows, fit_caches, fit_heads, fits, write_head
from expclip_cache.settings import (
    MOMENTS,
    Settings,
    head_file,
    image_features,
    load_settings,
    target_draws,
    training_results,
)
from expclip_cache.workers import resolve_device


def main(report: Reporter) -> None:
    """Write heads/*.safetensors and results/train."""
    params = load_settings()
    train = params.train
    images = FeatureCache(image_features(params.clip.name, train.dataset))
    draws = [FeatureCache(folder) for folder in target_draws(params.llm, train.dataset)]
    targets = draws[0]
    rows = paired_rows(images, *draws)
    metrics: dict = {"rows": len(rows)}
    losses = np.empty((0, 0))
    if "contrastive" in train.fit:
        more, losses = contrastive(params, images, draws, rows, report)
        metrics |= more
    if "ridge" in train.fit:
        metrics["ridge"] = ridge(params, images, targets, report)
    out = training_results()
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    details = {"images": images.describe(), "targets": targets.describe()}
    (out / "details.json").write_text(json.dumps(details, indent=1) + "\n")
    with (out / "loss.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seed", "epoch", "loss"])
        for seed, path in zip(train.seeds, losses, strict=False):
            table.writerows([seed, epoch, f"{loss:.6f}"] for epoch, loss in enumerate(path, start=1))


def contrastive(
    params: Settings, images: FeatureCache, draws: Sequence[FeatureCache], rows: np.ndarray, report: Reporter
) -> tuple[dict, np.ndarray]:
    """One head per seed by gradient descent; metrics, and (s, epochs) losses."""
    train = params.train
    steps = train.epochs * (len(rows) // train.batch_size)
    device = resolve_device(params.run.device)
    x, y = CachedRows([images], rows), CachedRows(draws, rows)
    resident = fits(4 * (x.shape[0] * x.shape[1] + y.shape[0] * y.shape[1]), device)
    if not resident:
        report.say(f"the training rows do not fit on {device}; reading each batch from the shards")
    with report.bar(f"training {len(train.seeds)} heads on {device}", steps, "step") as bar:
        heads = fit_heads(
            x,
            y,
            images.identity.encoder["logit_scale"],
            train,
            device,
            bar.advance,
            resident=resident,
        )
    for seed, name, weights in zip(train.seeds, train.heads["contrastive"], heads.weights, strict=True):
        settings = train.model_dump(exclude={"fit", "seeds", "ridge"}) | {"seed": seed}
        write_head(head_file(name), weights, settings | sources(images, draws[0]))
    final = round(float(heads.losses[:, -1].mean()), 6)
    report.say(f"final loss {final:.4f} on {len(rows)} images, mean of {len(train.seeds)} seeds")
    return {"steps": steps, "final_loss": final}, heads.losses


def ridge(params: Settings, images: FeatureCache, targets: FeatureCache, report: Reporter) -> dict:
    """One head in closed form; metrics."""
    train = params.train
    head = fit_caches(images, targets, train, MOMENTS, params.run, report)
    report.say(f"ridge: {head}")
    (name,) = train.heads["ridge"]
    settings = {"dataset": train.dataset, "fit": "ridge", "batch_size": train.batch_size, "found": head.found}
    settings |= train.ridge.model_dump() | sources(images, targets)
    write_head(head_file(name), head.weights, settings)
    return head.found


def sources(images: FeatureCache, targets: FeatureCache) -> Mapping:
    """What the heads were made from."""
    return {"fingerprints": {"images": images.identity.fingerprint, "targets": targets.identity.fingerprint}}


if __name__ == "__main__":
    with orderly(), recorded_time("train") as report:
        main(report)
