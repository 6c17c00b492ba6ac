"""`run.batch_size: auto` is fixed on a CPU and where results depend on it, and measured on a GPU."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.extraction import batch_size
from expclip_cache.extraction.batch_size import ON_CPU, PROBE, WITH_DROPOUT, images_per_batch
from expclip_cache.extraction.jobs import clip_job
from expclip_cache.extraction.run import run_job
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip

CPU = SimpleNamespace(device=torch.device("cpu"))
AUTO = RunSettings()
LLM = LlmSettings(model="demo", instruction="?")


def chosen(settings, encoder=CPU, run=AUTO):
    return images_per_batch(settings, encoder, run, SilentReporter())


def test_a_requested_batch_size_is_used():
    assert chosen({}, run=RunSettings(batch_size=7)) == 7


def test_a_cpu_has_a_fixed_batch_size():
    assert chosen(LLM.target_settings()) == ON_CPU


def test_with_dropout_every_device_gets_the_same_batches():
    with_dropout = LLM.model_copy(update={"mode": "dropout"}).target_settings(0)
    assert {chosen(with_dropout, SimpleNamespace(device=torch.device(name))) for name in ("cpu", "cuda")} == {
        WITH_DROPOUT
    }


def test_waiting_batches_fit_into_shared_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_size, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(batch_size.shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 20))
    count = batch_size._fit_in_shared_memory(224, workers=2)
    assert 6 * count * 3 * 224 * 224 <= 32 << 20 < 6 * (count + 1) * 3 * 224 * 224


def test_features_do_not_depend_on_the_batch_size(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    names = [f"{number:03d}.png" for number in range(2 * ON_CPU + 3)]
    for name in names:
        Image.fromarray(random.integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(tmp_path / "images" / name)
    manifest = hash_listing(
        "images", tmp_path / "images", Listing(tuple(ListedRow(name, -1, (name,)) for name in names), ())
    )
    model = write_clip(tmp_path / "clip")
    caches = []
    for size in ("auto", 5):
        job = clip_job(manifest, lambda: tmp_path / "images", model, tmp_path / f"out-{size}")
        run = RunSettings(device="cpu", batch_size=size, workers=0)
        caches.append(run_job(job, CacheSettings(dtype="float32"), run, SilentReporter()))
    auto, fixed = (cache[np.arange(len(names))] for cache in caches)
    np.testing.assert_allclose(auto, fixed, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_measured_batch_size_fits(tmp_path):
    encoder = load_clip(write_clip(tmp_path / "clip"), torch.device("cuda", 0))
    count = chosen({}, encoder)
    assert count % 8 == 0
    assert PROBE <= count <= batch_size.MAX_BATCH
    size = encoder.preprocess.size
    encoder.encode_images(torch.zeros(count, 3, size, size, dtype=torch.uint8))
