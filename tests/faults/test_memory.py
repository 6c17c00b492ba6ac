"""Memory does not grow with the number of images: measured for 1x and 10x the images, in processes of their own."""

import json
import os
import subprocess
import sys

import pytest
from harness import ROOT
from PIL import Image

from caches import make_cache

EXTRACT = """
import json, resource, sys
from pathlib import Path

import torch

from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheSettings
from expclip_cache.datasets import DatasetSettings, Listing, hash_listing, read_rows
from expclip_cache.extraction import clip_job, run_job
from expclip_cache.workers import RunSettings
from tiny_encoders import CLIP_MODEL, write_clip

torch.set_num_threads(1)
folder = Path(sys.argv[1])
vision = {**CLIP_MODEL["vision_cfg"], "image_size": 224, "patch_size": 56}
clip = write_clip(folder / "clip", {**CLIP_MODEL, "vision_cfg": vision})
listing = read_rows(folder / "images", DatasetSettings(source="images", layout="image-folders", labelled=False))
peaks = {}
# The first runs warm up what grows once: allocators, kernels, lazily imported modules.
for images in (40, 40, 40, 40, 400):
    manifest = hash_listing("images", folder / "images", Listing(listing.rows[:images], ()))
    job = clip_job(manifest, lambda: folder / "images", clip, folder / f"out-{len(peaks)}-{images}")
    run_job(job, CacheSettings(shard_rows=20), RunSettings(device="cpu", batch_size=20, workers=0), SilentReporter())
    peaks[images] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(peaks))
"""

READ = """
import json, sys, tracemalloc

import numpy as np

from expclip_cache.cache import reader

peaks, sums = {}, {}
reader.MAX_MAPPED = 4
for folder in sys.argv[1:]:
    tracemalloc.start()
    cache = reader.FeatureCache(folder)
    rows = np.random.default_rng(0).permutation(cache.good_rows)
    for start in range(0, len(rows), 50):
        features = cache[rows[start : start + 50]]
        sums[folder] = sums.get(folder, 0) + float(features[:, 0].astype(np.float64).sum())
    peaks[folder] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
print(json.dumps([peaks, sums]))
"""


def run(code, *arguments):
    paths = f"{ROOT / 'pipeline'}:{ROOT / 'tests/support'}"
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_extracting_ten_times_the_images_needs_no_more_memory(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(400):
        Image.new("RGB", (40, 40), (number % 256, 7, 7)).save(tmp_path / "images" / f"{number:04d}.png")
    peaks = run(EXTRACT, tmp_path)
    # 360 more decoded images take 53,000 KiB.
    assert peaks["400"] - peaks["40"] < 20_000, peaks


@pytest.mark.slow
def test_reading_ten_times_the_rows_needs_no_more_memory(tmp_path):
    small = make_cache(tmp_path / "small", rows=1000, shard_rows=100)
    large = make_cache(tmp_path / "large", rows=10000, shard_rows=1000)
    peaks, sums = run(READ, small, large)
    assert sums[str(small)] == pytest.approx(1000 * 999 / 2, rel=1e-3)
    assert peaks[str(large)] < 3 * peaks[str(small)], peaks
