"""The program itself: its help and version, and what it says about folders that are no caches."""

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from expclip_cache.commands.app import app


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
