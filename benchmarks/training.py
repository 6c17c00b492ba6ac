"""How close is training to the bare matrix products? python -m benchmarks.training [--device cuda]."""

import argparse

import numpy as np
import torch

from benchmarks.measure import Figure, show, timed
from expclip_cache.heads import TrainSettings, fit_heads
from expclip_cache.workers import device_name, resolve_device

REFERENCE_EPOCH = 529.0
"""Seconds an epoch in the reference's published logs (ViT-B/32)."""


def bare_products(rows: int, batch: int, d: int, t: int, heads: int, device: torch.device) -> float:
    """Seconds of the matrix products that one epoch cannot do without: z, logits, dz (from logits), dW."""
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
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48_640)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--heads", type=int, default=16, help="heads trained at once in the second table")
    parser.add_argument("--few-rows", type=int, default=4_096, help="rows for the second table")
    asked = parser.parse_args()
    device = resolve_device(asked.device)
    random = np.random.default_rng(0)
    x = random.standard_normal((asked.rows, 512), dtype=np.float32).astype(np.float16)
    y = random.standard_normal((asked.rows, 4096), dtype=np.float32).astype(np.float16)

    def train(rows: int, seeds: tuple[int, ...]) -> None:
        fit_heads(x[:rows], y[:rows], 100.0, TrainSettings(dataset="random", epochs=1, seeds=seeds), device)
        synchronise(device)

    limit = bare_products(asked.rows, 512, 512, 4096, 1, device)
    ours = timed(lambda: train(asked.rows, (1,)))
    show(
        f"One epoch, {asked.rows:,} rows, batch 512, 512 -> 4,096, {device_name(device)}",
        [
            Figure("bare matrix products", limit),
            Figure("one epoch, features from memory", ours, ours / limit, "<= 1.25"),
            Figure("the reference's published epoch", REFERENCE_EPOCH, REFERENCE_EPOCH / ours, "", "times ours"),
        ],
    )
    seeds = tuple(range(asked.heads))
    single = timed(lambda: [train(asked.few_rows, (seed,)) for seed in seeds], repeats=1)
    together = timed(lambda: train(asked.few_rows, seeds), repeats=1)
    wanted = "<= 0.5" if device.type == "cuda" else "<= 1.0"
    show(
        f"{asked.heads} heads, one epoch of {asked.few_rows:,} rows each, {device_name(device)}",
        [
            Figure(f"{asked.heads} single runs", single),
            Figure("at once", together, together / single, wanted),
        ],
    )


if __name__ == "__main__":
    main()
