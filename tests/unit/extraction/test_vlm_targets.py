"""Targets of an image-text model in a cache: several states in a row, of which heads read one."""

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base import CacheError
from expclip_cache.cache import CacheSettings, FeatureCache
from expclip_cache.encoders import LlmSettings, load_teacher, read_pixels
from expclip_cache.extraction import extract
from expclip_cache.workers import RunSettings
from tiny_vlms import WIDTH, write_vlm

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=3, workers=0)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    found, _ = write_vlm(tmp_path_factory.mktemp("internvl"), "internvl")
    return LlmSettings(**found.model_dump() | {"keep_layers": (0.5,), "keep_reads": ("text",)})


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(random.integers(0, 256, (30, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def test_each_vector_of_a_row_is_one_state_of_its_image(settings, images, tmp_path):
    cache = extract(images, tmp_path / "out", settings, cache=CACHE, run=RUN)
    teacher = load_teacher(settings, torch.device("cpu"))
    files = sorted(images.iterdir())
    pixels = torch.stack([torch.from_numpy(read_pixels(file, teacher.preprocess)) for file in files])
    expected = teacher.encode_images(pixels).view(len(files), teacher.vectors, WIDTH).numpy()
    assert cache is not None
    assert cache.identity.settings["states"] == ["last@0.5", "last@1", "text@0.5", "text@1"]
    for vector in range(4):
        one = FeatureCache(cache.store, vector=vector)
        np.testing.assert_allclose(one[:], expected[:, vector], atol=1e-5)
    np.testing.assert_allclose(FeatureCache(cache.store, vector=settings.state)[:], expected[:, 1], atol=1e-5)


def test_another_instruction_is_refused_and_another_kept_state_is_not(settings, images, tmp_path):
    out, other = tmp_path / "out", settings.model_copy(update={"layer": 0.5, "keep_layers": (1.0,)})
    first = extract(images, out, settings, cache=CACHE, run=RUN)
    again = extract(images, out, other, cache=CACHE, run=RUN)
    assert first is not None
    assert again is not None
    assert again.shards == first.shards
    assert other.states[other.state] == ("last", 0.5)
    with pytest.raises(CacheError, match="instruction differs"):
        extract(images, out, settings.model_copy(update={"instruction": "describe"}), cache=CACHE, run=RUN)
