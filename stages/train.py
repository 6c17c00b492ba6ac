"""Train the projection head on cached features: python -m stages.train."""

import csv
import json

from pipeline.console import orderly
from pipeline.encoders.device import resolve_device
from pipeline.head import fit_heads
from pipeline.head_file import write_head
from pipeline.params import load_params
from pipeline.paths import head_file, image_features, target_features, training_results
from pipeline.progress import TerminalReporter
from pipeline.shards.reader import FeatureCache, paired_rows


def main() -> None:
    """Write heads/seed-*.safetensors and results/train."""
    params, report = load_params(), TerminalReporter()
    train = params.train
    images = FeatureCache(image_features(params.clip.name, train.dataset))
    targets = FeatureCache(target_features(params.llm.name, train.dataset))
    rows = paired_rows(images, targets)
    steps = train.epochs * (len(rows) // train.batch_size)
    device = resolve_device(params.run.device)
    with report.bar(f"training {len(train.seeds)} heads on {device}", steps, "step") as bar:
        heads = fit_heads(
            images.features(rows),
            targets.features(rows),
            images.identity.encoder["logit_scale"],
            train,
            device,
            bar.advance,
        )
    sources = {"images": images.identity.fingerprint, "targets": targets.identity.fingerprint}
    for seed, weights in zip(train.seeds, heads.weights, strict=True):
        settings = train.model_dump(exclude={"seeds"}) | {"seed": seed, "fingerprints": sources}
        write_head(head_file(seed), weights, settings)
    out = training_results()
    out.mkdir(parents=True, exist_ok=True)
    final = heads.losses[:, -1]
    metrics = {"rows": len(rows), "steps": steps, "final_loss": round(float(final.mean()), 6)}
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    with (out / "loss.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seed", "epoch", "loss"])
        for seed, losses in zip(train.seeds, heads.losses, strict=True):
            table.writerows([seed, epoch, f"{loss:.6f}"] for epoch, loss in enumerate(losses, start=1))
    report.say(f"final loss {metrics['final_loss']:.4f} on {len(rows)} images, mean of {len(train.seeds)} seeds")


if __name__ == "__main__":
    with orderly():
        main()
