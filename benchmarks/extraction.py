"""Does the encoder ever wait? python -m benchmarks.extraction [--model ViT-B-32-quickgelu] [--device cuda].

The forward pass alone and the extraction take turns, some shards of the photos each time, so that what slows the
machine down slows both. `--model blip2-flan-t5-xxl` times the LLM's side at full size, in the reference's precision
unless told otherwise.
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
from expclip_cache.commands import INSTRUCTION
from expclip_cache.datasets import ListedRow, Listing, Manifest, hash_listing
from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.extraction import ON_CPU, Job, clip_job, decode_batches, llm_job, plan_batches, run_job
from expclip_cache.workers import RunSettings, device_name, resolve_device

BLIP2 = "blip2-flan-t5-xxl"
SHARDS = 4
"""That are encoded in a turn."""


def write_photos(folder: Path, count: int, side: int) -> Listing:
    """JPEGs of smooth random colours, about as hard to decode as photos of that size."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = random.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        name = f"{number:06d}.jpg"
        image.save(folder / name, quality=90)
        rows.append(ListedRow(name, -1, (name,)))
    return Listing(tuple(rows), ())


def open_clip_job(manifest: Manifest, folder: Path, asked: argparse.Namespace) -> Job:
    """A CLIP of open_clip with random weights."""
    params = ClipSettings(name="bench", model=asked.model, weights="random", precision=asked.precision or "fp32")
    return clip_job(manifest, lambda: folder / "photos", params, folder / "cache")


def blip2_job(manifest: Manifest, folder: Path, asked: argparse.Namespace) -> Job:
    """BLIP-2 with Flan-T5-XXL's encoder and random weights."""
    write_full_size_blip2(folder / BLIP2, asked.layers)
    params = LlmSettings(
        name="bench",
        model=str(folder / BLIP2),
        weights="random",
        instruction=INSTRUCTION,
        precision=asked.precision or "reference",
    )
    return llm_job(manifest, lambda: folder / "photos", params, folder / "cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--precision", help="fp32 for a CLIP and reference for BLIP-2 by default")
    parser.add_argument("--layers", type=int, help="of BLIP-2's stacks; all by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=250)
    parser.add_argument("--batch-size", type=int, default=ON_CPU)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    device = resolve_device(asked.device)
    run = RunSettings(device=asked.device, batch_size=asked.batch_size, workers=asked.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        listing = write_photos(folder / "photos", asked.images, asked.side)
        manifest = hash_listing("photos", folder / "photos", listing)
        build = blip2_job if asked.model == BLIP2 else open_clip_job
        job = build(manifest, folder, asked)
        encoder = job.load(asked.device)
        size = encoder.image_size
        pixels = torch.randint(0, 256, (asked.batch_size, 3, size, size), dtype=torch.uint8).to(device)
        cache = CacheSettings(shard_rows=-(-asked.images // (asked.turns * SHARDS)))
        plan = plan_shards(asked.images, cache.shard_rows)
        job = replace(job, load=lambda _: encoder)

        def forward(rows: range) -> None:
            for batch in plan_batches([rows], asked.batch_size):
                encoder.encode_images(pixels[: len(batch)])
            if device.type == "cuda":
                torch.cuda.synchronize()

        def decode() -> None:
            root, how, rows = folder / "photos", encoder.preprocess, plan_batches(plan, asked.batch_size)
            with decode_batches(manifest, root, how, rows, workers=asked.workers, pin=False) as batches:
                for _ in batches:
                    pass

        def encode(numbers: range) -> None:
            run_job(job, cache, run, TerminalReporter(), part=numbers)

        forward(range(asked.batch_size))
        decoded, alone, wall = timed(decode), 0.0, 0.0
        for first in range(0, len(plan), SHARDS):
            numbers = range(first, min(first + SHARDS, len(plan)))
            alone += timed(partial(forward, range(plan[first].start, plan[numbers[-1]].stop)), repeats=1)
            wall += timed(partial(encode, numbers), repeats=1)
    if device.type == "cuda":
        limit, bound = max(alone, decoded), "<= 1.05"
    else:
        limit, bound = alone + decoded, "<= 1.10"
    rate, part = asked.images, f" ({asked.layers} layers of each stack)" if asked.layers else ""
    photos = f"{asked.images:,} JPEGs of {asked.side} x {asked.side}"
    show(
        f"{asked.model}{part}, random weights, {photos}, {device_name(device)}",
        [
            Figure("forward pass alone", alone, None, "", f"{rate / alone:.1f} images/s"),
            Figure("decoding alone", decoded, None, "", f"{rate / decoded:.0f} images/s, {asked.workers} workers"),
            Figure("extract, to the finished cache", wall, wall / limit, bound, f"{rate / wall:.1f} images/s"),
            Figure("peak memory of the encoding process", None, None, "", f"{own_peak_memory():.0f} MB"),
        ],
    )


if __name__ == "__main__":
    main()
