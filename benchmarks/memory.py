"""Does memory grow with the number of rows? python -m benchmarks.memory [--models demo --images 200].

Each work runs at 1x and at 10x rows, in a process of its own. That process and all it starts (decoding workers) are
counted by their proportional set sizes, so that a page they share counts once:

held: what only they have: Python, weights, batches, shards being written. This must be flat.
mapped: their share of mapped files (libraries, shards being read). The kernel takes such pages back when anybody
needs memory, so this may grow up to the size of the cache.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.extraction import write_photos
from benchmarks.measure import Figure, Peak, peak_memory, show
from benchmarks.reading import write_cache
from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheSettings, FeatureCache
from expclip_cache.datasets import hash_listing
from expclip_cache.encoders import ClipSettings, load_clip
from expclip_cache.extraction import clip_job, run_job
from expclip_cache.heads import CachedRows, ContrastiveSettings, train_heads
from expclip_cache.workers import RunSettings

BATCH = 32
"""Pictures at once."""

WORKERS = 2
"""Decoding processes."""


def extract_once(folder: Path, model: str, images: int) -> None:
    """Encode generated photos with random weights; both are made here, so they count too."""
    (folder / "photos").mkdir()
    manifest = hash_listing("photos", folder / "photos", write_photos(folder / "photos", images, 250))
    params = ClipSettings(name="bench", model=model, weights="random")
    job = clip_job(manifest, lambda: folder / "photos", params, folder / "cache")
    run = RunSettings(device="cpu", batch_size=BATCH, workers=WORKERS)
    run_job(job, CacheSettings(shard_rows=2 * BATCH), run, SilentReporter())


def train_once(folder: Path, rows: int) -> None:
    """One epoch over the first rows of two caches, gathered from mapped shards batch by batch."""
    images, targets = (CachedRows([FeatureCache(folder / name)], np.arange(rows)) for name in ("images", "targets"))
    train_heads(images, targets, 100.0, ContrastiveSettings(epochs=1), torch.device("cpu"), resident=False)


def lines(what: str, rows: int, once: Peak, ten: Peak) -> list[Figure]:
    """Two lines of the table."""

    def note(peak: Peak) -> str:
        return f"held {peak.held:.0f} MB, mapped {peak.mapped:.0f} MB, {peak.processes} processes"

    return [
        Figure(f"{what}, {rows:,} rows", once.seconds, None, "", note(once)),
        Figure(f"{what}, {10 * rows:,} rows", ten.seconds, ten.held / once.held, "<= 1.1 (held)", note(ten)),
    ]


def extraction_lines(model: str, images: int) -> list[Figure]:
    """Extraction at 1x and 10x pictures."""
    encoder = load_clip(ClipSettings(name="bench", model=model, weights="random"), torch.device("cpu"))
    batch = BATCH * 3 * encoder.image_size**2 * 4
    tensors = [*encoder._model.parameters(), *encoder._model.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    peaks = []
    for count in (images, 10 * images):
        with tempfile.TemporaryDirectory() as name:
            peaks.append(peak_memory("benchmarks.memory", "--extract", name, model, str(count)))
    limit = Figure(f"weights of {model}", None, None, "", f"{weights / 1e6:.0f} MB; a batch {batch / 1e6:.0f} MB")
    return [limit, *lines(f"extraction, {model}", images, *peaks)]


def training_lines(rows: int) -> list[Figure]:
    """Streamed training at 1x and 10x rows, 512 -> 4,096."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for part, width in (("images", 512), ("targets", 4096)):
            (Path(name) / part).mkdir()
            values = random.standard_normal((10 * rows, width), dtype=np.float32).astype(np.float16)
            write_cache(Path(name) / part, values, 2048)
        peaks = [peak_memory("benchmarks.memory", "--train", name, str(n)) for n in (rows, 10 * rows)]
    return lines("training, streamed, batch 512, 512 -> 4,096", rows, *peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["demo", "ViT-B-32-quickgelu"], help="open_clip names or demo")
    parser.add_argument("--images", nargs="*", type=int, default=[200, 100], help="1x, for each model")
    parser.add_argument("--rows", type=int, default=4_864, help="1x, for training")
    parser.add_argument("--extract", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.extract:
        folder, model, images = asked.extract
        extract_once(Path(folder), model, int(images))
    elif asked.train:
        folder, rows = asked.train
        train_once(Path(folder), int(rows))
    else:
        figures = []
        for model, images in zip(asked.models, asked.images, strict=True):
            figures += extraction_lines(model, images)
        figures += training_lines(asked.rows)
        show("Peak memory at 1x and 10x rows, on the CPU", figures)


if __name__ == "__main__":
    main()
