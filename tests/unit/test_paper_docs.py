"""The commands, stages and files in docs/paper.md exist as written."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from expclip_cache.commands.app import app
from expclip_cache.settings.file import load_settings

APP = typer.main.get_group(app)
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/paper.md").read_text()
LINES = [line for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
COMMANDS = [line.split("expclip-cache ", 1)[1] for line in LINES if "expclip-cache " in line]


def test_commands_are_found_in_the_page():
    assert {line.split()[0] for line in COMMANDS} == {"init", "import-head", "export-head", "score"}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line):
    name, *arguments = shlex.split(line)
    command = APP.commands[name]
    assert command.make_context(name, arguments).params


def test_an_unknown_option_would_fail():
    command = APP.commands["score"]
    with pytest.raises(Exception, match="--heads"):
        command.make_context("score", ["x", "--prompts", "y", "--heads", "z"])


def test_the_stages_and_files_in_the_page_exist():
    graph = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    datasets = load_settings(ROOT / "configs/paper-b32.yaml").datasets
    targets = [target for line in LINES if "dvc repro --single-item" in line for target in line.split()[5:]]
    assert targets
    for target in targets:
        stage, _, dataset = target.partition("@")
        assert stage in graph
        assert not dataset or dataset in datasets
    for file in re.findall(r"`(tests/[\w/.]+)`", TEXT):
        assert (ROOT / file).exists(), file
    for link in re.findall(r"\]\((\w+\.md)\)", TEXT):
        assert (ROOT / "docs" / link).is_file()
