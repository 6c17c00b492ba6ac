"""Fit the head that `expclip-cache predict` uses, and write it into the package: run after `dvc repro`.

    uv run python tools/package_demo_head.py

It is the closed-form head of `demo-train` without what all targets share. The demo's LLM gives every face the same
long constant beside what it sees, so that cosines in its space are all close to 1 and percentages all close to chance.
Without that direction the answers are nearly the same, and percentages tell faces apart.
"""

from pathlib import Path

import numpy as np

from expclip_cache.cache import FeatureCache
from expclip_cache.heads import fit_ridge, write_head
from expclip_cache.settings import image_features, load_settings, open_targets

HEAD = Path("pipeline/expclip_cache/demo/head.safetensors")


def main() -> None:
    """Write the head."""
    images = FeatureCache(image_features("demo-clip", "demo-train"))
    (targets,) = open_targets(load_settings(), "demo-llm")
    head = fit_ridge(images, targets)
    y = targets[targets.good_rows].astype(np.float64)
    shared = (y / np.linalg.norm(y, axis=1, keepdims=True)).mean(axis=0)
    shared /= np.linalg.norm(shared)
    weights = head.weights - np.outer(shared, shared @ head.weights)
    write_head(HEAD, weights.astype(np.float32), {**head.settings, "found": head.metrics, "without": "mean target"})
    print(f"{HEAD}: {head}")


if __name__ == "__main__":
    main()
