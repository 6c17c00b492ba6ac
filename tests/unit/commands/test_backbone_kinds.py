"""From images to scores with backbones of transformers, by commands alone."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.encoders import load_backbone, read_pixels
from expclip_cache.prompts import prompt_table
from tiny_backbones import write_flava, write_hf_clip, write_siglip

CLASSES = ("happiness", "anger", "fear")


def run(*words: str, ok: bool = True) -> str:
    done = CliRunner().invoke(app, list(words))
    assert (done.exit_code == 0) is ok, done.output
    return done.output


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    for number in range(9):
        path = tmp_path / "faces" / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
    return tmp_path / "faces"


@pytest.mark.parametrize("write", [write_flava, write_siglip, write_hf_clip])
def test_images_are_encoded_and_scored(write, images, tmp_path):
    settings = write(tmp_path / "model")
    options = ("--kind", settings.kind, "--model", "model", "--preprocess", "clip", "--dtype", "float32")
    run("extract", "faces", "features/faces", "--layout", "image-folders", "--workers", "0", *options)
    run("encode-prompts", "features/faces", "features/prompts")
    (scored,) = json.loads(
        run("score", "features/faces", "--prompt-features", "features/prompts", "--types", "2", "--json")
    )
    # The same by the encoder itself: the class of the prompt whose cosine with the image is largest.
    encoder = load_backbone(settings.model_copy(update={"model": "model", "preprocess": "clip"}), torch.device("cpu"))
    cache = FeatureCache("features/faces")
    pixels = torch.stack([torch.from_numpy(read_pixels(images / path, encoder.preprocess)) for path in cache.paths()])
    features = encoder.encode_images(pixels)
    assert (torch.from_numpy(cache[:]) - features).norm() < 1e-5 * features.norm()
    prompts = prompt_table("reference", (2,), sorted(CLASSES))
    texts = encoder.encode_texts([prompt.text for prompt in prompts])
    cosines = torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(texts).T
    right = [
        prompts[best].class_name == path.split("/")[0]
        for best, path in zip(cosines.argmax(1), cache.paths(), strict=True)
    ]
    assert scored["prompt_types"]["2"]["clip"]["war"] == pytest.approx(100 * sum(right) / len(right), abs=1e-3)


def test_a_kind_that_the_folder_is_not_of_ends_the_command(images, tmp_path):
    write_flava(tmp_path / "model")
    message = run("extract", "faces", "features/faces", "--kind", "transformers", "--model", "model", ok=False)
    assert "Set its kind: flava." in " ".join(message.split())
    assert not (tmp_path / "features" / "faces" / "index.json").exists()
    assert images.is_dir()
