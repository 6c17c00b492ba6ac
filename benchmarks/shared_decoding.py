"""Two encoders that share one decode pass: python -m benchmarks.shared_decoding [--side 3464] [--images 200]."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.extraction import open_clip_job, write_photos
from benchmarks.measure import Figure, show, timed
from expclip_cache.base import TerminalReporter
from expclip_cache.cache import INDEX, CacheSettings
from expclip_cache.datasets import hash_listing
from expclip_cache.extraction import ON_CPU, Images, decode_batches, plan_batches, run_job
from expclip_cache.workers import RunSettings, device_name, resolve_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu", help="an open_clip model; serves as both encoders")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=3464, help="width and height of the photos; 3464: 12 megapixels")
    parser.add_argument("--batch-size", type=int, default=ON_CPU)
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    options = parser.parse_args()
    device = resolve_device(options.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = folder / "photos"
        photos.mkdir()
        manifest = hash_listing("photos", photos, write_photos(photos, options.images, options.side))
        job = open_clip_job(manifest, folder, options)
        encoder = job.encoder.load(options.device)
        job = replace(job, encoder=replace(job.encoder, load=lambda _: encoder))
        size = encoder.preprocess.size
        pixels = torch.randint(0, 256, (options.batch_size, 3, size, size), dtype=torch.uint8).to(device)
        batches = plan_batches([range(options.images)], options.batch_size)

        def forward() -> None:
            for batch in batches:
                encoder.encode_images(pixels[: len(batch)])
            if device.type == "cuda":
                torch.cuda.synchronize()

        def decode(keep_in: Path | None = None) -> None:
            images = [Images(manifest, photos, keep_in)]
            of_images = [(0, rows) for rows in batches]
            with decode_batches(images, encoder.preprocess, of_images, workers=options.workers, pin=False) as decoded:
                for _ in decoded:
                    pass

        def encode(out: str, keep_in: Path | None = None) -> None:
            run = RunSettings(
                device=options.device, batch_size=options.batch_size, workers=options.workers, pixels=keep_in
            )
            run_job(replace(job, out=folder / out), CacheSettings(shard_rows=512), run, TerminalReporter())

        alone, decoding = timed(forward, repeats=1), timed(decode, repeats=1)
        storing = timed(lambda: decode(folder / "kept"), repeats=1)
        loading = timed(lambda: decode(folder / "kept"), repeats=1)
        shared = timed(lambda: [encode(out, folder / "shared") for out in ("one", "two")], repeats=1)
        separate = timed(lambda: [encode(out) for out in ("three", "four")], repeats=1)
        same = all(
            (folder / first / INDEX).read_bytes() == (folder / second / INDEX).read_bytes()
            for first, second in [("one", "three"), ("two", "four")]
        )
        kept = sum(512 * file.stat().st_blocks for file in (folder / "kept").iterdir())
    limit = decoding + 2 * alone if device.type == "cpu" else max(decoding, alone) + alone
    count, side = options.images, options.side
    show(
        f"Two encoders ({options.model}), {count:,} JPEGs of {side} x {side}, {device_name(device)}",
        [
            Figure("one forward pass alone", alone, note=f"{count / alone:.1f} images/s"),
            Figure("decoding alone", decoding, note=f"{count / decoding:.1f} images/s, {options.workers} workers"),
            Figure("decoding and storing the pixels", storing, storing / decoding, note=f"{kept / 1e6:.0f} MB stored"),
            Figure("loading the stored pixels", loading, loading / decoding, note=f"{count / loading:.0f} images/s"),
            Figure("both caches, a decode pass for each", separate, separate / limit),
            Figure("both caches, one decode pass", shared, shared / limit, "<= 1.10", f"same bytes: {same}"),
        ],
    )


if __name__ == "__main__":
    main()
