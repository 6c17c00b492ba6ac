"""The settings, commands and messages in docs/temporal.md are those of the program."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from expclip_cache.base import SettingsError, validated
from expclip_cache.commands.app import app
from expclip_cache.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/temporal.md").read_text()
DEMO = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
PARTS = [YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
COMMANDS = re.findall(r"^expclip-cache (.*)$", TEXT, re.MULTILINE)


def test_the_parts_of_params_yaml_are_valid_in_the_demo():
    pooled, published = (validated(Settings, DEMO | part, "params.yaml") for part in PARTS)
    assert {name: pooled.frames_of(name) for name in ("first", "max", "attention")} == dict.fromkeys(
        ("first", "max", "attention"), "frames"
    )
    assert published.frames_of("emoclip") == "emoclip-frames"
    assert published.frames_of("emotionclip") == "emotionclip-frames"
    assert list(published.prompts_of("emoclip")) == ["reference", "emoclip"]
    assert list(published.prompts_of("emotionclip")) == ["reference"]


def test_the_message_about_missing_frames_is_quoted():
    without = DEMO | {"backbones": {"max": {"pool": "max"}}}
    with pytest.raises(SettingsError) as raised:
        validated(Settings, without, "params.yaml")
    assert f"error: {raised.value}" in TEXT


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line):
    name, *arguments = shlex.split(line)
    assert typer.main.get_group(app).commands[name].make_context(name, arguments).params


def test_the_page_has_commands_and_its_links_and_files_exist():
    assert {line.split()[0] for line in COMMANDS} == {"extract", "pool", "encode-prompts", "score"}
    for file in re.findall(r"`(prompts/[\w.]+)`", TEXT):
        assert (ROOT / file).is_file()
    for file in re.findall(r"`((?:encoders|extraction)/[\w.]+)`", TEXT):
        assert (ROOT / "pipeline/expclip_cache" / file).is_file()
