"""An LLM's answers in a cache: a row for each image, and for each clip the mean of its frames."""

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheSettings, FeatureCache
from expclip_cache.datasets import DatasetSettings, build_manifest
from expclip_cache.encoders import AnswerSettings, load_answers, read_pixels
from expclip_cache.extraction import Job, answer_encoder, run_jobs
from expclip_cache.workers import RunSettings
from tiny_encoders import write_blip2

CLASSES = ("happiness", "anger")
FRAMES = 3


@pytest.fixture
def settings(tmp_path) -> AnswerSettings:
    write_blip2(tmp_path / "blip2")
    return AnswerSettings(model=str(tmp_path / "blip2"), names={"anger": ("anger", "an expression")})


@pytest.fixture
def clips(tmp_path):
    random = np.random.default_rng(0)
    for name in ("happiness/a", "happiness/b", "anger/c"):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        for number in range(FRAMES):
            pixels = random.integers(0, 256, (28, 28, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "clips"


def test_a_clip_is_the_mean_of_its_frames(tmp_path, settings, clips):
    dataset = DatasetSettings(source=str(clips), layout="frame-folders", frames=FRAMES)
    manifest = build_manifest(clips, dataset)
    job = Job(manifest, lambda: clips, answer_encoder(settings, CLASSES), tmp_path / "out")
    run = RunSettings(device="cpu", batch_size=4, workers=0)
    run_jobs([job], CacheSettings(dtype="float32"), run, SilentReporter())
    cache = FeatureCache(tmp_path / "out")
    encoder = load_answers(settings, CLASSES, torch.device("cpu"))
    assert cache.layout[:3] == (1, 2, 3)
    assert cache.identity.settings["names"] == [["happiness", ["happiness"]], ["anger", ["anger", "an expression"]]]
    for row, listed in enumerate(manifest.rows):
        frames = np.stack([read_pixels(clips / file, encoder.preprocess) for file in listed.files])
        expected = encoder.encode_images(torch.from_numpy(frames)).numpy().mean(axis=0)
        assert cache[row] == pytest.approx(expected, abs=1e-5)
    run_jobs([job], CacheSettings(dtype="float32"), run, SilentReporter())
    assert FeatureCache(tmp_path / "out").fingerprint == cache.fingerprint
