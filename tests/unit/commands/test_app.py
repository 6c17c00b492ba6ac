"""The program itself: its help and version, and what it says about folders that are no caches."""

from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from expclip_cache.commands.app import GROUPS, app


def test_the_version_is_that_of_the_package():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"expclip-cache {version('expclip-cache')}\n")


@pytest.mark.parametrize("words", [[], ["extract"], ["predict"], ["doctor"]])
def test_the_short_option_shows_the_same_help(words):
    short, long = (CliRunner().invoke(app, [*words, flag]) for flag in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output


def test_a_folder_that_is_no_cache_is_named_as_such(tmp_path):
    (tmp_path / "photo.jpg").touch()
    result = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not a feature cache: there is neither an index nor a shard in it" in result.output
    assert "run the extraction again" not in result.output.lower()


COMMAND = typer.main.get_command(app)


def help_at_80_columns(*words: str, monkeypatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    return CliRunner().invoke(app, [*words, "--help"]).output.splitlines()


def test_the_overview_lists_every_command_in_a_group_and_cuts_no_line(monkeypatch):
    lines = help_at_80_columns(monkeypatch=monkeypatch)
    assert max(map(len, lines)) <= 80
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Options:", *(f"{group}:" for group in GROUPS)]
    listed = [line.split()[0] for line in lines[lines.index(groups[1]) :] if line.startswith("  ")]
    assert listed == list(COMMAND.commands)
    assert not [line for line in lines[lines.index(groups[1]) :] if line.endswith("...")]


@pytest.mark.parametrize("name", COMMAND.commands)
def test_no_group_has_too_many_options_and_no_line_is_too_long(name, monkeypatch):
    lines = help_at_80_columns(name, monkeypatch=monkeypatch)
    assert max(map(len, lines)) <= 80
    shown: dict[str, int] = {}
    group = ""
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            group = line
        elif group and line.startswith("  -"):
            shown[group] = shown.get(group, 0) + 1
    options = [param for param in COMMAND.commands[name].params if param.param_type_name == "option"]
    assert sum(shown.values()) == len(options) + 1, "every option, and --help"
    if name != "predict":
        assert max(shown.values()) <= 8
