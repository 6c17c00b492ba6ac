"""Does memory grow with the number of rows? python -m benchmarks.memory [--models demo --images 200].

Extraction and training run with 1x and with 10x rows, each in a process of its own. That process and all its
descendants (decoding workers) are measured by their proportional set sizes, so that a page they share counts once:

held: what belongs to them alone: Python, weights, batches, shards being written. This must not grow.
mapped: their share of mapped files (libraries, shards being read). The kernel reclaims such pages when memory is
needed elsewhere, so this may grow up to the size of the cache.
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
"""Images per batch."""

WORKERS = 2
"""Decoding processes."""


def random_clip(model: str) -> ClipSettings:
    """A CLIP with random weights."""
    return ClipSettings(model=model, weights="random")


def extract_once(folder: Path, model: str, images: int) -> None:
    """Encode generated photos with random weights. Both are made in this process, so they count too."""
    photos = folder / "photos"
    photos.mkdir()
    manifest = hash_listing("photos", photos, write_photos(photos, images, 250))
    job = clip_job(manifest, lambda: photos, random_clip(model), folder / "cache")
    run = RunSettings(device="cpu", batch_size=BATCH, workers=WORKERS)
    run_job(job, CacheSettings(shard_rows=2 * BATCH), run, SilentReporter())


def train_once(folder: Path, rows: int) -> None:
    """Train one epoch on the first rows of two caches, each batch gathered from mapped shards."""
    images, targets = (CachedRows([FeatureCache(folder / name)], np.arange(rows)) for name in ("images", "targets"))
    train_heads(images, targets, 100.0, ContrastiveSettings(epochs=1), torch.device("cpu"), resident=False)


def growth(what: str, rows: int, once: Peak, ten: Peak) -> list[Figure]:
    """The lines for 1x and 10x rows."""

    def note(peak: Peak) -> str:
        return f"held {peak.held:.0f} MB, mapped {peak.mapped:.0f} MB, {peak.processes} processes"

    return [
        Figure(f"{what}, {rows:,} rows", once.seconds, note=note(once)),
        Figure(f"{what}, {10 * rows:,} rows", ten.seconds, ten.held / once.held, "<= 1.1 (held)", note(ten)),
    ]


def extraction_figures(model: str, images: int) -> list[Figure]:
    """Extraction with 1x and 10x images."""
    encoder = load_clip(random_clip(model), torch.device("cpu"))
    batch = BATCH * 3 * encoder.image_size**2 * 4
    model_itself = encoder._model
    assert isinstance(model_itself, torch.nn.Module)
    tensors = [*model_itself.parameters(), *model_itself.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    peaks = []
    for count in (images, 10 * images):
        with tempfile.TemporaryDirectory() as name:
            peaks.append(peak_memory("benchmarks.memory", "--extract", name, model, str(count)))
    sizes = Figure(f"weights of {model}", None, note=f"{weights / 1e6:.0f} MB; a batch {batch / 1e6:.0f} MB")
    return [sizes, *growth(f"extraction, {model}", images, *peaks)]


def training_figures(rows: int) -> list[Figure]:
    """Streamed training with 1x and 10x rows, 512 -> 4,096."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for part, width in (("images", 512), ("targets", 4096)):
            values = random.standard_normal((10 * rows, width), dtype=np.float32).astype(np.float16)
            write_cache(Path(name) / part, values)
        peaks = [peak_memory("benchmarks.memory", "--train", name, str(n)) for n in (rows, 10 * rows)]
    return growth("training, streamed, batch 512, 512 -> 4,096", rows, *peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["demo", "ViT-B-32-quickgelu"], help="demo or open_clip models")
    parser.add_argument("--images", nargs="*", type=int, default=[200, 100], help="1x, for each model")
    parser.add_argument("--rows", type=int, default=4_864, help="1x, for training")
    parser.add_argument("--extract", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.extract:
        folder, model, images = options.extract
        extract_once(Path(folder), model, int(images))
    elif options.train:
        folder, rows = options.train
        train_once(Path(folder), int(rows))
    else:
        figures = []
        for model, images in zip(options.models, options.images, strict=True):
            figures += extraction_figures(model, images)
        figures += training_figures(options.rows)
        show("Peak memory with 1x and 10x rows, on the CPU", figures)


if __name__ == "__main__":
    main()
