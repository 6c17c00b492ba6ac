"""How close training comes to the bare matrix products: python -m benchmarks.training [--device cuda]."""

import argparse

import numpy as np
import torch

from benchmarks.measure import Figure, show, timed
from expclip_cache.heads import ContrastiveSettings, train_heads
from expclip_cache.workers import device_name, resolve_device

REFERENCE_EPOCH = 529.0
"""Seconds per epoch in the reference's published logs (ViT-B/32)."""


def bare_products(rows: int, batch: int, d: int, t: int, heads: int, device: torch.device) -> float:
    """Seconds for the matrix products that an epoch needs in any case: z, logits, dz (from logits), dW."""
    x, y = torch.randn(heads, batch, d, device=device), torch.randn(heads, batch, t, device=device)
    w, g = torch.randn(heads, t, d, device=device), torch.randn(heads, batch, batch, device=device)

    def epoch() -> None:
        for _ in range(rows // batch):
            z = torch.bmm(x, w.mT)
            torch.bmm(z, y.mT)
            dz = torch.bmm(g, y)
            torch.bmm(dz.mT, x)
        synchronise(device)

    return timed(epoch)


def synchronise(device: torch.device) -> None:
    """Wait until the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48_640)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--heads", type=int, default=16, help="heads trained at once in the second table")
    parser.add_argument("--few-rows", type=int, default=4_096, help="rows for the second table")
    options = parser.parse_args()
    device = resolve_device(options.device)
    random = np.random.default_rng(0)
    x = random.standard_normal((options.rows, 512), dtype=np.float32).astype(np.float16)
    y = random.standard_normal((options.rows, 4096), dtype=np.float32).astype(np.float16)

    def train(rows: int, seeds: tuple[int, ...]) -> None:
        train_heads(x[:rows], y[:rows], 100.0, ContrastiveSettings(epochs=1, seeds=seeds), device)
        synchronise(device)

    limit = bare_products(options.rows, 512, 512, 4096, 1, device)
    ours = timed(lambda: train(options.rows, (1,)))
    show(
        f"One epoch, {options.rows:,} rows, batch 512, 512 -> 4,096, {device_name(device)}",
        [
            Figure("bare matrix products", limit),
            Figure("one epoch, features from memory", ours, ours / limit, "<= 1.25"),
            Figure("the reference's published epoch", REFERENCE_EPOCH, REFERENCE_EPOCH / ours, "", "times ours"),
        ],
    )
    seeds = tuple(range(options.heads))
    single = timed(lambda: [train(options.few_rows, (seed,)) for seed in seeds], repeats=1)
    together = timed(lambda: train(options.few_rows, seeds), repeats=1)
    wanted = "<= 0.5" if device.type == "cuda" else "<= 1.0"
    show(
        f"{options.heads} heads, one epoch of {options.few_rows:,} rows each, {device_name(device)}",
        [
            Figure(f"{options.heads} single runs", single),
            Figure("at once", together, together / single, wanted),
        ],
    )


if __name__ == "__main__":
    main()
