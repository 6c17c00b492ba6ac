"""The commands, stages and files in docs/paper.md exist as written."""

import re
import shlex
from pathlib import Path

import pytest
import typer

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
        command.make_context("score", ["x", "--prompt-features", "y", "--heads", "z"])


def test_the_stages_and_files_in_the_page_exist():
    scripts = [shlex.split(line.split("python ", 1)[1]) for line in LINES if "python stages/" in line]
    assert {script for script, *_ in scripts} == {"stages/manifest.py", "stages/images.py", "stages/prompts.py"}
    for script, *arguments in scripts:
        assert (ROOT / script).is_file()
        named = [word for word in arguments if not word.startswith("--")]
        assert set(named) <= load_settings(ROOT / "configs/paper.yaml").datasets.keys()
    for file in re.findall(r"`(tests/[\w/.]+)`", TEXT):
        assert (ROOT / file).exists(), file
    for link in re.findall(r"\]\((\w+\.md)\)", TEXT):
        assert (ROOT / "docs" / link).is_file()
