"""Memory does not grow with the number of images: measured at 1x and at 10x, in processes of their own."""

import json
import subprocess
import sys

import pytest
from harness import ROOT
from PIL import Image

from caches import make_cache

EXTRACT = """
import json, resource, sys
from pathlib import Path
from tiny_encoders import CLIP_MODEL, write_clip
import torch
from expclip_cache.extraction.jobs import clip_job
from pipeline.datasets import read_rows
from expclip_cache.extraction.run import run_job
from expclip_cache.datasets.hashing import hash_listing
from pipeline.params import CacheSettings, DatasetSettings, RunSettings
from expclip_cache.base.progress import SilentReporter

torch.set_num_threads(1)
folder = Path(sys.argv[1])
vision = {**CLIP_MODEL["vision_cfg"], "image_size": 224, "patch_size": 56}
params = write_clip(folder / "clip", {**CLIP_MODEL, "vision_cfg": vision})
rows = read_rows(folder / "faces", DatasetSettings(source="faces", layout="image-folders", labelled=False))
peaks = {}
# The first runs warm up what grows once: allocators, kernels, lazily imported modules.
for images in (40, 40, 40, 40, 400):
    manifest = hash_listing("faces", folder / "faces", type(rows)(rows.rows[:images], ()))
    job = clip_job(manifest, lambda: folder / "faces", params, folder / f"out-{len(peaks)}-{images}")
    run_job(job, CacheSettings(shard_rows=20), RunSettings(device="cpu", batch_size=20, workers=0), SilentReporter())
    peaks[images] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(peaks))
"""

READ = """
import json, sys, tracemalloc
import numpy as np
from pipeline.shards import reader

peaks, sums = {}, {}
reader.MAX_MAPPED = 4
for folder in sys.argv[1:]:
    tracemalloc.start()
    cache = reader.FeatureCache(folder)
    for rows, features in cache.shuffled_batches(50, seed=0):
        sums[folder] = sums.get(folder, 0) + float(features[:, 0].astype(np.float64).sum())
    peaks[folder] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
print(json.dumps([peaks, sums]))
"""


def run(code, *words):
    environment = {"PYTHONPATH": f"{ROOT / 'pipeline'}:{ROOT / 'tests/support'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_extraction_of_ten_times_the_images_needs_no_more_memory(tmp_path):
    (tmp_path / "faces").mkdir()
    for number in range(400):
        Image.new("RGB", (40, 40), (number % 256, 7, 7)).save(tmp_path / "faces" / f"{number:04d}.png")
    peaks = run(EXTRACT, tmp_path)
    # 360 more decoded pictures are 53,000 KiB.
    assert peaks["400"] - peaks["40"] < 20_000, peaks


def test_reading_ten_times_the_rows_needs_no_more_memory(tmp_path):
    once = make_cache(tmp_path / "once", rows=1000, shard_rows=100)
    ten = make_cache(tmp_path / "ten", rows=10000, shard_rows=1000)
    peaks, sums = run(READ, once, ten)
    assert sums[str(once)] == pytest.approx(1000 * 999 / 2, rel=1e-3)
    assert peaks[str(ten)] < 3 * peaks[str(once)], peaks
