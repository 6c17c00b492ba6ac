"""The library versions that a cache records, and their comparison with the installed ones."""

import json
import subprocess
import sys

import huggingface_hub
import pytest
import torch

from expclip_cache.encoders import library_differences, library_versions, parse_library
from expclip_cache.encoders.blip2_t5 import load_blip2_t5
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.encoders.settings import ClipSettings
from tiny_encoders import CLIP_MODEL, write_clip

CPU = torch.device("cpu")
EVERY_CLIP = ["open_clip", "torch", "Pillow"]


def clip(model: str) -> ClipSettings:
    return ClipSettings(model=model, weights="random")


@pytest.mark.parametrize("settings", [ClipSettings(), LlmSettings()], ids=["clip", "llm"])
def test_a_loaded_encoder_records_the_installed_versions(settings):
    encoder = load_clip(settings, CPU) if isinstance(settings, ClipSettings) else load_blip2_t5(settings, CPU)
    installed = library_versions(settings)
    recorded = parse_library(encoder.describe()["library"])
    assert list(recorded) == list(installed)
    assert {name: version.split("+")[0] for name, version in recorded.items()} == {
        name: version.split("+")[0] for name, version in installed.items()
    }
    assert library_differences(encoder.describe()["library"], installed) == []


def test_the_record_is_the_libraries_own_versions():
    import open_clip
    import PIL
    import transformers

    assert load_clip(ClipSettings(), CPU).describe()["library"] == (
        f"open_clip {open_clip.__version__}, torch {torch.__version__}, Pillow {PIL.__version__}, "
        f"transformers {transformers.__version__}"
    )


def test_transformers_and_timm_count_only_for_towers_that_use_them(tmp_path):
    text = {key: value for key, value in CLIP_MODEL["text_cfg"].items() if key != "hf_tokenizer_name"}
    plain = write_clip(tmp_path, CLIP_MODEL | {"text_cfg": text})
    assert list(library_versions(plain)) == EVERY_CLIP
    assert list(parse_library(load_clip(plain, CPU).describe()["library"])) == EVERY_CLIP
    assert list(library_versions(clip("ViT-B-32-quickgelu"))) == EVERY_CLIP
    assert list(library_versions(clip("roberta-ViT-B-32"))) == [*EVERY_CLIP, "transformers"]
    assert list(library_versions(clip("convnext_base"))) == [*EVERY_CLIP, "timm"]
    assert list(library_versions(LlmSettings(model="Salesforce/blip2-flan-t5-xxl"))) == [
        "transformers",
        "torch",
        "Pillow",
    ]


def test_a_clip_that_is_not_on_this_machine_has_the_libraries_of_every_clip(tmp_path, monkeypatch, network_attempts):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for model in ("hf-hub:someone/clip", "no-such-architecture", str(tmp_path / "nowhere")):
        assert list(library_versions(clip(model))) == EVERY_CLIP
    (tmp_path / "open_clip_config.json").write_text("no JSON")
    assert list(library_versions(clip(str(tmp_path)))) == EVERY_CLIP
    assert not network_attempts


def test_installed_versions_are_found_without_importing_the_libraries():
    program = (
        "import json, sys\n"
        "from expclip_cache.encoders import ClipSettings, LlmSettings, library_versions\n"
        "models = ['demo', 'ViT-B-32-quickgelu']\n"
        "found = [library_versions(ClipSettings(model=m, weights='random')) for m in models]\n"
        "found.append(library_versions(LlmSettings()))\n"
        "print(json.dumps([found, sorted({'torch', 'open_clip', 'transformers', 'PIL', 'timm'} & set(sys.modules))]))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found, imported = json.loads(run.stdout)
    assert [len(versions) for versions in found] == [4, 3, 3]
    assert imported == []


def test_reading_a_record():
    assert parse_library("open_clip 3.3.0, torch 2.13.0+cu130") == {"open_clip": "3.3.0", "torch": "2.13.0+cu130"}
    assert parse_library("") == parse_library("test") == parse_library("made by hand") == {}


@pytest.mark.parametrize(
    ("cached", "differences"),
    [
        ("torch 2.13.0, Pillow 13.0.0", []),
        ("torch 2.13.0+cu130", []),
        (
            "torch 2.11.0+cpu, Pillow 12.1.0",
            ["torch 2.11.0 cached, 2.13.0 installed", "Pillow 12.1.0 cached, 13.0.0 installed"],
        ),
        ("transformers 4.57.0", []),
        ("", []),
    ],
    ids=["equal", "another build", "two older", "not installed here", "no record"],
)
def test_differences_between_a_record_and_the_installed_versions(cached, differences):
    assert library_differences(cached, {"torch": "2.13.0+cpu", "Pillow": "13.0.0"}) == differences
