"""Two encoders, one decode pass: python -m benchmarks.shared_decoding [--side 3464] [--images 200]."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.extraction import open_clip_job, write_photos
from benchmarks.measure import Figure, show, timed
from expclip_cache.base import TerminalReporter
from expclip_cache.cache import CacheSettings
from expclip_cache.datasets import hash_listing
from expclip_cache.extraction import ON_CPU, decode_batches, run_job, plan_batches
from expclip_cache.workers import RunSettings, device_name, resolve_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu", help="of open_clip; it stands for both encoders")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=3464, help="3464: 12 megapixels")
    parser.add_argument("--batch-size", type=int, default=ON_CPU)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    device = resolve_device(asked.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        manifest = hash_listing(
            "photos", folder / "photos", write_photos(folder / "photos", asked.images, asked.side)
        )
        job = open_clip_job(manifest, folder, asked)
        encoder = job.load(asked.device)
        job = replace(job, load=lambda _: encoder)
        size = encoder.image_size
        pixels = torch.randint(0, 256, (asked.batch_size, 3, size, size), dtype=torch.uint8).to(device)
        batches = plan_batches([range(asked.images)], asked.batch_size)

        def forward() -> None:
            for batch in batches:
                encoder.encode_images(pixels[: len(batch)])
            if device.type == "cuda":
                torch.cuda.synchronize()

        def decode(keep_in: Path | None = None) -> None:
            with decode_batches(
                manifest,
                folder / "photos",
                encoder.preprocess,
                batches,
                workers=asked.workers,
                pin=False,
                keep_in=keep_in,
            ) as decoded:
                for _ in decoded:
                    pass

        def encode(out: str, keep_in: Path | None = None) -> None:
            run = RunSettings(device=asked.device, batch_size=asked.batch_size, workers=asked.workers, pixels=keep_in)
            run_job(replace(job, out=folder / out), CacheSettings(shard_rows=512), run, TerminalReporter())

        alone, decoded = timed(forward, repeats=1), timed(decode, repeats=1)
        keeping = timed(lambda: decode(folder / "kept"), repeats=1)
        taking = timed(lambda: decode(folder / "kept"), repeats=1)
        shared = timed(lambda: [encode(out, folder / "shared") for out in ("one", "two")], repeats=1)
        twice = timed(lambda: [encode(out) for out in ("three", "four")], repeats=1)
        same = all(
            (folder / first / "index.json").read_bytes() == (folder / second / "index.json").read_bytes()
            for first, second in [("one", "three"), ("two", "four")]
        )
        kept = sum(512 * file.stat().st_blocks for file in (folder / "kept").iterdir())
    limit = decoded + 2 * alone if device.type == "cpu" else max(decoded, alone) + alone
    rate = asked.images
    show(
        f"Two encoders ({asked.model}), {asked.images:,} JPEGs of {asked.side} x {asked.side}, {device_name(device)}",
        [
            Figure("one forward pass alone", alone, None, "", f"{rate / alone:.1f} images/s"),
            Figure("decoding alone", decoded, None, "", f"{rate / decoded:.1f} images/s, {asked.workers} workers"),
            Figure("decoding and keeping", keeping, keeping / decoded, "", f"{kept / 1e6:.0f} MB kept"),
            Figure("taking what was kept", taking, taking / decoded, "", f"{rate / taking:.0f} images/s"),
            Figure("both caches, each with a decode pass of its own", twice, twice / limit),
            Figure("both caches, one decode pass", shared, shared / limit, "<= 1.10", f"same bytes: {same}"),
        ],
    )


if __name__ == "__main__":
    main()
