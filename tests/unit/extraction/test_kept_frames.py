"""`pool: none`: every frame's features are kept, and what comes after them takes the rows as they are."""

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base.errors import CacheError
from expclip_cache.cache.layout import RowLayout
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.images import read_pixels
from expclip_cache.extraction.folder import extract
from expclip_cache.extraction.prompt_cache import encode_prompts
from expclip_cache.prompts import PromptSettings, prompt_table
from expclip_cache.scoring import score
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip

CACHE = CacheSettings(shard_rows=3, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=4, workers=0)
FRAMES = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of each of two classes, with three frames; and one whose frames are no images."""
    folder, random = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for class_name in ("anger", "happiness"):
        for number in range(2):
            clip = folder / class_name / f"clip{number}"
            clip.mkdir(parents=True)
            for frame in range(FRAMES):
                pixels = random.integers(0, 256, (30, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(clip / f"{frame}.png")
    broken = folder / "anger/broken"
    broken.mkdir()
    for frame in range(FRAMES):
        (broken / f"{frame}.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def layout(clips):
    return DatasetSettings(source=str(clips), layout="frame-folders", frames=FRAMES)


@pytest.fixture(scope="module")
def kept(clips, model, layout, tmp_path_factory):
    settings = model.model_copy(update={"pool": "none"})
    out = tmp_path_factory.mktemp("out") / "frames"
    return extract(clips, out, settings, layout=layout, cache=CACHE, run=RUN)


def test_a_row_has_the_features_of_each_frame_in_order(kept, clips, model):
    assert kept.layout == RowLayout(FRAMES, 1, 24, "best-vector")
    assert kept.width == FRAMES * 24
    encoder = load_clip(model, torch.device("cpu"))
    for row in kept.good_rows:
        files = [clips / kept.paths([row])[0] / f"{frame}.png" for frame in range(FRAMES)]
        pixels = torch.from_numpy(np.stack([read_pixels(file, encoder.preprocess) for file in files]))
        np.testing.assert_allclose(kept[row].reshape(FRAMES, 24), encoder.encode_images(pixels).numpy(), atol=1e-5)
    assert len(kept.skipped) == 1


def test_their_mean_is_what_a_cache_without_frames_has(kept, clips, model, layout, tmp_path):
    mean = extract(clips, tmp_path / "mean", model, layout=layout, cache=CACHE, run=RUN)
    np.testing.assert_allclose(kept.item_vectors(kept.good_rows), mean[mean.good_rows], atol=1e-5)
    assert "pool" not in mean.identity.settings
    assert kept.identity.settings["pool"] == "none"


def test_a_cache_of_frames_is_not_taken_for_one_of_clips(kept, clips, model, layout):
    with pytest.raises(CacheError, match=r"frames differs: cached 3, requested '\(not set\)'\n  pool differs"):
        extract(clips, str(kept), model, layout=layout, cache=CACHE, run=RUN)


def test_clips_of_kept_frames_are_scored_by_the_mean_of_their_frames(kept, model, tmp_path):
    table = prompt_table("reference", (1,), kept.classes)
    prompts = encode_prompts([prompt.text for prompt in table], tmp_path / "prompts", model)
    (found,) = score(kept, prompts, settings=PromptSettings(types=(1,)))
    frames = kept[kept.good_rows].reshape(-1, FRAMES, 24).astype(np.float64)
    texts = prompts[:].astype(np.float64)
    frames /= np.linalg.norm(frames, axis=2, keepdims=True)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    expected = (frames @ texts.T).mean(axis=1).argmax(axis=1)
    np.testing.assert_array_equal(found.predictions.clip[1], expected)
