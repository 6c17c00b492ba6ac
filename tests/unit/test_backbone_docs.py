"""The entries of params.yaml, the commands, the message and the worked example in docs/backbones.md."""

import re
import shlex
import sys
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
import torch
import typer
from ruamel.yaml import YAML
from transformers import AutoTokenizer, BlipConfig, BlipForImageTextRetrieval

from expclip_cache.base import EncoderError, validated
from expclip_cache.commands.app import app
from expclip_cache.encoders import ClipSettings, file_hashes, image_text, libraries, load_backbone, settings, versions
from expclip_cache.encoders.kinds import hugging_face_encoder, registry, transformers_clip
from expclip_cache.encoders.kinds.transformers_clip_model import MODELS
from expclip_cache.settings import Settings
from tiny_backbones import CLIP_PREPROCESSOR, TEXT, VISION, write_flava, write_model
from tiny_encoders import random_pixels

ROOT = Path(__file__).parents[2]
TEXT_OF_PAGE = (ROOT / "docs/backbones.md").read_text()
DEMO = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
ENTRIES = [YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT_OF_PAGE, re.DOTALL)]
MODULE, ENTRY = re.findall(r"```python\n(.*?)```", TEXT_OF_PAGE, re.DOTALL)
CPU = torch.device("cpu")


@pytest.mark.parametrize("entry", ENTRIES, ids=[next(iter(entry["backbones"])) for entry in ENTRIES])
def test_the_entries_are_valid_in_the_demo(entry):
    found = validated(Settings, DEMO | entry, "params.yaml").backbones
    assert {name: each.kind for name, each in found.items()} == {
        name: each.get("kind", "open-clip") for name, each in entry["backbones"].items()
    }


@pytest.mark.parametrize("line", re.findall(r"^expclip-cache (.*)$", TEXT_OF_PAGE, re.MULTILINE))
def test_the_commands_are_those_of_the_program(line):
    name, *words = shlex.split(line)
    command: Any = typer.main.get_command(app)
    command.commands[name].make_context(name, words)


def test_every_kind_and_every_model_type_is_named():
    for name in (*registry.KINDS, *MODELS):
        assert f"`{name}`" in TEXT_OF_PAGE


def test_the_message_about_another_kind_is_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_flava(tmp_path / "model")
    with pytest.raises(EncoderError) as raised:
        transformers_clip.find_files(ClipSettings(kind="transformers", model="model"))
    assert f"error: {raised.value}" in " ".join(TEXT_OF_PAGE.split())


def test_the_kind_of_the_worked_example_gives_the_librarys_similarities(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "BLIP", 1, raising=False)
    kinds = eval(f"{{{ENTRY}}}", {"Kind": registry.Kind, "TRANSFORMERS": registry.TRANSFORMERS})
    every = MappingProxyType({**registry.KINDS, **kinds})
    for module in (registry, settings, image_text, libraries, hugging_face_encoder):
        monkeypatch.setattr(module, "KINDS", every)
    module = ModuleType("expclip_cache.encoders.kinds.blip")
    exec(MODULE, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    config = BlipConfig(text_config=TEXT, vision_config=VISION, image_text_hidden_size=24, projection_dim=24)
    chosen = write_model(tmp_path, "blip", BlipForImageTextRetrieval, config, CLIP_PREPROCESSOR)
    encoder = load_backbone(chosen, CPU)
    pixels, texts = random_pixels(), ["anger.", "a photo of happiness.", "fear"]
    found = (
        torch.nn.functional.normalize(encoder.encode_images(pixels))
        @ torch.nn.functional.normalize(encoder.encode_texts(texts)).T
    )
    model = BlipForImageTextRetrieval.from_pretrained(tmp_path).eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(tokens.input_ids, pixels / 255, use_itm_head=False, attention_mask=tokens.attention_mask)
    assert (found - expected.itm_score).abs().max() < 1e-5
    hashes = file_hashes(chosen)
    assert hashes
    assert hashes["weights_sha256"] == encoder.describe()["weights_sha256"]
    assert chosen.image_settings()["encoder_version"] == 1
