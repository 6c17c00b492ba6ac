"""Weights that were replaced under their old name, which DVC does not notice."""

import json
from pathlib import Path

import pytest

from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.extraction import encode_prompts, extract
from expclip_cache.settings import load_settings, replaced_files
from expclip_cache.settings.replaced_files import ADVICE
from face_images import write_images
from tiny_encoders import write_blip2, write_clip

ROOT = Path(__file__).parents[3]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The demo's study with encoders of one's own, and two images in place of its training set."""
    monkeypatch.chdir(tmp_path)
    images = write_images(tmp_path / "images", 2, bad=())
    write_clip(tmp_path / "clip")
    write_blip2(tmp_path / "llm")
    clip, llm = ClipSettings(model="clip"), LlmSettings(model="llm")
    settings = load_settings(ROOT / "params.yaml").model_copy(
        update={"backbones": {"mine": clip}, "teachers": {"yours": llm}}
    )
    extract(images, f"features/images/mine/{settings.train.dataset}", clip)
    extract(images, f"features/targets/yours/{settings.train.dataset}", llm)
    encode_prompts(["anger"], "features/prompts/mine", clip, device="cpu")
    return settings


def test_features_of_the_files_that_are_here_are_not_named(study):
    assert replaced_files(study) == []


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("clip/open_clip_config.json", ["prompts/mine", "images/mine/demo-train"]),
        ("llm/config.json", ["targets/yours/demo-train"]),
    ],
)
def test_features_of_other_files_are_named(study, file, named):
    Path(file).write_text(json.dumps(json.loads(Path(file).read_text())) + "\n\n")
    *lines, advice = replaced_files(study)
    model = Path(file).parts[0]
    assert lines == [f"features/{place}: was made with other files of {model} (config)" for place in named]
    assert advice == ADVICE


def test_files_that_are_not_here_are_not_compared(study):
    Path("clip/open_clip_model.safetensors").unlink()
    assert replaced_files(study) == []
