"""The entry, the commands and the sizes in docs/x-clip.md."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML
from transformers import XCLIPConfig

from expclip_cache.base import EncoderError, validated
from expclip_cache.commands.app import app
from expclip_cache.encoders import ClipSettings
from expclip_cache.export import export_features
from expclip_cache.prediction import Predictor
from expclip_cache.prompts import prompt_table
from expclip_cache.settings import Settings
from tiny_x_clip import write_x_clip

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/x-clip.md").read_text()
(ENTRY,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^expclip-cache (.*)$", TEXT, re.MULTILINE)


def test_the_entry_is_valid_in_the_demo():
    yaml = YAML(typ="safe")
    demo = yaml.load((ROOT / "params.yaml").read_text())
    found = validated(Settings, demo | yaml.load(ENTRY), "params.yaml").backbones["x-clip"]
    assert (found.kind, found.pool, found.preprocess, found.published_as) == ("x-clip", "mean", "clip", "X-CLIP")


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_those_of_the_program(line):
    name, *words = shlex.split(line)
    command: Any = typer.main.get_command(app)
    command.commands[name].make_context(name, words)


def test_the_sizes_are_those_of_b_32():
    config = XCLIPConfig()
    vision, d = config.vision_config, config.projection_dim
    patches = (vision.image_size // vision.patch_size) ** 2
    row = 2 * (1 + patches) * d
    assert f"1 + {patches} vectors of {d}: {row / 1e3:.0f} KB in float16" in TEXT
    layer = 4 * d * d + d + 4 * d + 2 * 4 * d * d + 5 * d
    assert f"| {4 * config.prompt_layers * layer / 1e6:.0f} MB |" in TEXT
    assert f"{vision.num_frames} for `xclip-base-patch32`" in TEXT


def test_the_makers_prompt_is_a_template(tmp_path):
    (template,) = re.findall(r"`(templates: .*?)`", TEXT)
    (tmp_path / "words.yaml").write_text(template)
    table = prompt_table(str(tmp_path / "words.yaml"), (), ("happiness", "anger"))
    assert [prompt.text for prompt in table] == ["happiness", "anger"]


def test_what_does_not_take_it_says_so(tmp_path):
    x_clip = write_x_clip(tmp_path / "model")
    with pytest.raises(EncoderError, match="gives an image 17 vectors, and a photo is classified by one"):
        Predictor(x_clip, head="none", crop=False, device="cpu")
    with pytest.raises(EncoderError, match="only models of kind open-clip are exported"):
        export_features(tmp_path / "x.onnx", ClipSettings(kind="x-clip", model=x_clip.model))
