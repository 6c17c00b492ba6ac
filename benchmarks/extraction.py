"""Does the encoder ever wait? python -m benchmarks.extraction [--model ViT-B-32-quickgelu] [--device cuda].

The bare forward pass and the extraction take turns, a few shards of photos each, so that whatever slows the machine
down slows both. `--model blip2-flan-t5-xxl` measures an LLM at full size, by default in the reference's precision.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.full_size_blip2 import write_full_size_blip2
from benchmarks.measure import Figure, own_peak_memory, show, timed
from expclip_cache.base import TerminalReporter
from expclip_cache.cache import CacheSettings, plan_shards
from expclip_cache.datasets import ListedRow, Listing, Manifest, RowContent, hash_listing
from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.extraction import ON_CPU, Images, Job, clip_job, decode_batches, llm_job, plan_batches, run_job
from expclip_cache.workers import RunSettings, device_name, resolve_device

BLIP2 = "blip2-flan-t5-xxl"
SHARDS = 4
"""Shards that are encoded in one turn."""


def write_photos(folder: Path, count: int, side: int) -> Listing:
    """Write JPEGs of smooth random colours, which take about as long to decode as photos of that size."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = random.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        name = f"{number:06d}.jpg"
        image.save(folder / name, quality=90)
        rows.append(ListedRow(name, -1, (name,)))
    return Listing(tuple(rows), ())


def open_clip_job(manifest: Manifest, folder: Path, options: argparse.Namespace) -> Job:
    """An open_clip model with random weights."""
    clip = ClipSettings(model=options.model, weights="random", precision=options.precision or "fp32")
    return clip_job(manifest, lambda: folder / "photos", clip, folder / "cache")


def blip2_job(manifest: Manifest, folder: Path, options: argparse.Namespace) -> Job:
    """BLIP-2 with the encoder of Flan-T5-XXL, with random weights."""
    write_full_size_blip2(folder / BLIP2, options.layers)
    precision = options.precision or "reference"
    llm = LlmSettings(model=str(folder / BLIP2), weights="random", precision=precision)
    return llm_job(manifest, lambda: folder / "photos", llm, folder / "cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu", help=f"an open_clip model or {BLIP2}")
    parser.add_argument("--precision", help="by default fp32 for a CLIP and reference for BLIP-2")
    parser.add_argument("--layers", type=int, help="layers in each of BLIP-2's stacks; all by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=250, help="width and height of the photos")
    parser.add_argument("--batch-size", type=int, default=ON_CPU)
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    device = resolve_device(options.device)
    run = RunSettings(device=options.device, batch_size=options.batch_size, workers=options.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = folder / "photos"
        photos.mkdir()
        manifest = hash_listing("photos", photos, write_photos(photos, options.images, options.side))
        build = blip2_job if options.model == BLIP2 else open_clip_job
        job = build(manifest, folder, options)
        encoder = job.encoder.load(options.device)
        size = encoder.preprocess.size
        pixels = torch.randint(0, 256, (options.batch_size, 3, size, size), dtype=torch.uint8).to(device)
        cache = CacheSettings(shard_rows=-(-options.images // (options.turns * SHARDS)))
        plan = plan_shards(options.images, cache.shard_rows)
        job = replace(job, encoder=replace(job.encoder, load=lambda _: encoder))

        def forward(rows: range) -> None:
            for batch in plan_batches([rows], options.batch_size):
                encoder.encode_images(pixels[: len(batch)])
            if device.type == "cuda":
                torch.cuda.synchronize()

        def decode() -> None:
            batches = [(0, rows) for rows in plan_batches(plan, options.batch_size)]
            with decode_batches(
                [Images(manifest, photos)], encoder.preprocess, batches, workers=options.workers, pin=False
            ) as decoded:
                for _ in decoded:
                    pass

        def encode(numbers: range) -> None:
            run_job(job, cache, run, TerminalReporter(), part=numbers)

        def hash_files(files: list[bytes]) -> None:
            for file in files:
                content = RowContent()
                content.add(file)
                assert content.digest

        forward(range(options.batch_size))
        hashing = timed(partial(hash_files, [(photos / row.path).read_bytes() for row in manifest.rows]))
        decoding, alone, wall = timed(decode), 0.0, 0.0
        for first in range(0, len(plan), SHARDS):
            numbers = range(first, min(first + SHARDS, len(plan)))
            alone += timed(partial(forward, range(plan[first].start, plan[numbers[-1]].stop)), repeats=1)
            wall += timed(partial(encode, numbers), repeats=1)
    if device.type == "cuda":
        limit, bound = max(alone, decoding), "<= 1.05"
    else:
        limit, bound = alone + decoding, "<= 1.10"
    count, layers = options.images, f" ({options.layers} layers in each stack)" if options.layers else ""
    jpegs = f"{count:,} JPEGs of {options.side} x {options.side}"
    show(
        f"{options.model}{layers}, random weights, {jpegs}, {device_name(device)}",
        [
            Figure("forward pass alone", alone, note=f"{count / alone:.1f} images/s"),
            Figure("decoding alone", decoding, note=f"{count / decoding:.0f} images/s, {options.workers} workers"),
            Figure("hashing the files, as the manifest does", hashing, hashing / wall, "<= 0.03", "part of decoding"),
            Figure("extract, to the finished cache", wall, wall / limit, bound, f"{count / wall:.1f} images/s"),
            Figure("peak memory of the encoding process", None, note=f"{own_peak_memory():.0f} MB"),
        ],
    )


if __name__ == "__main__":
    main()
