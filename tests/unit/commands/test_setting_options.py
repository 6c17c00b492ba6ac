"""The commands and the settings classes say the same things by the same names, with the same defaults and choices."""

import re
from types import NoneType
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from expclip_cache.base import Section
from expclip_cache.cache import CacheSettings
from expclip_cache.commands.app import app
from expclip_cache.commands.setting_options import DefaultOf
from expclip_cache.datasets import DatasetSettings
from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.heads import ContrastiveSettings, RidgeSettings
from expclip_cache.prompts import PromptSettings
from expclip_cache.workers import RunSettings

COMMANDS = typer.main.get_group(app).commands
FUNCTIONS = {command.callback.__name__: command.callback for command in app.registered_commands}
PAIRS = [
    ("extract", ClipSettings),
    ("extract", LlmSettings),
    ("extract", CacheSettings),
    ("extract", RunSettings),
    ("train", ContrastiveSettings),
    ("train", RidgeSettings),
    ("score", PromptSettings),
    ("predict", ClipSettings),
]
NOT_OPTIONS = {
    ("extract", "draws"): "a cache holds one draw, --draw says which",
    ("train", "backbones"): "the features that are given decide",
    ("train", "teachers"): "the features that are given decide",
    ("train", "choose"): "fixed if --lambda is given",
    ("extract", "published_as"): "a cache is compared with nothing published",
    ("score", "backbones"): "the features that are given decide",
    ("predict", "decode"): "a photo or two is always decoded in full",
    ("predict", "pool"): "frames are averaged",
    ("predict", "published_as"): "an answer is compared with nothing published",
}
OTHER_DEFAULTS = {
    ("extract", "kind"): "that of the backbones; for an LLM, what its config.json says",
    ("extract", "keep_layers"): "repeatable, none by default",
    ("extract", "keep_reads"): "repeatable, none by default",
    ("extract", "pixels"): "no other encoder of a study shares the pixels of a folder",
    ("score", "types"): "every type that is cached is scored",
    ("train", "kind"): "a class per kind",
    ("predict", "kind"): "what the head names",
    ("predict", "model"): "what the head names",
    ("predict", "weights"): "what the head names",
    ("predict", "preprocess"): "what the head names",
}
CHECKED = [
    pytest.param(command, section, key, id=f"{command}-{section.__name__}-{key}")
    for command, section in PAIRS
    for key in section.model_fields
    if (command, key) not in NOT_OPTIONS
]


def option(command: str, key: str):
    flag = f"--{key.replace('_', '-')}"
    found = [parameter for parameter in COMMANDS[command].params if flag in parameter.opts]
    assert found, f"{command} has no {flag}"
    return found[0]


def as_text(value: object) -> object:
    return [str(each) for each in value] if isinstance(value, tuple | list) else None if value is None else str(value)


@pytest.mark.parametrize(("command", "section", "key"), CHECKED)
def test_every_key_is_an_option_with_the_keys_default(command: str, section: type[Section], key: str):
    found, context = option(command, key), typer.Context(COMMANDS[command])
    if (command, key) not in OTHER_DEFAULTS:
        assert as_text(found.get_default(context)) == as_text(section.model_fields[key].default)


@pytest.mark.parametrize(("command", "section", "key"), CHECKED)
def test_an_option_offers_what_the_key_accepts(command: str, section: type[Section], key: str):
    offered = get_type_hints(FUNCTIONS[command])[option(command, key).name]
    if NoneType in get_args(offered):  # it may be left open
        offered = next(each for each in get_args(offered) if each is not NoneType)
    accepted = section.model_fields[key].annotation
    if len(kinds := [each for each in get_args(accepted) if each is not NoneType]) < len(get_args(accepted)) == 2:
        (accepted,) = kinds
    if (command, key) == ("train", "kind"):
        accepted = Literal["contrastive", "ridge"]
    if (command, key) == ("extract", "pool"):
        accepted = Literal["mean", "none"]  # the others are made from a cache, by the command `pool`
    if get_origin(offered) is Literal:
        assert get_args(offered) == get_args(accepted)
    else:
        # The two encoders accept different ones.
        assert get_origin(accepted) is not Literal or (command, key) in {
            ("extract", "kind"),
            ("extract", "precision"),
            ("extract", "weights"),
        }


def test_what_is_not_an_option_is_a_key():
    keys = {(command, key) for command, section in PAIRS for key in section.model_fields}
    assert NOT_OPTIONS.keys() | OTHER_DEFAULTS.keys() <= keys


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("extract", {"--shard-rows": "2048", "--precision": "fp32", "--batch-size": "auto", "--mode": "eval"}),
        ("train", {"--lr": "0.001", "--weight-decay": "0.0001", "--seeds": "1", "--tolerance": "0.03"}),
        ("score", {"--set": "reference", "--aggregation": "mean"}),
        ("predict", {"--precision": "fp32", "--frames": "16"}),
    ],
)
def test_the_help_shows_the_defaults(command, shown):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.output.partition("Options:")[2].split())
    for flag, default in shown.items():
        about_option = re.search(rf"{flag}\b.*?\[default: ([^\];]*)", text)
        assert about_option, flag
        assert about_option[1] == default


def test_a_list_is_shown_as_it_is_typed():
    assert str(DefaultOf("heads.RidgeSettings", "lambdas")).startswith("0.0001,0.000178,")
    assert DefaultOf("datasets.DatasetSettings", "frames")() == DatasetSettings.model_fields["frames"].default


def test_a_key_that_does_not_exist_fails_at_once():
    with pytest.raises(KeyError, match="learning_rate"):
        DefaultOf("heads.ContrastiveSettings", "learning_rate")()


@pytest.mark.parametrize("words", [("--instruction", "Describe."), ("--mode", "dropout"), ("--draw", "1")])
def test_options_of_the_llm_are_refused_for_a_clip(tmp_path, words):
    result = CliRunner().invoke(app, ["extract", str(tmp_path), str(tmp_path / "out"), *words])
    assert result.exit_code == 1
    assert f"{words[0]} belongs to --encoder llm; remove it, or add --encoder llm." in result.output
    assert not (tmp_path / "out").exists()


def test_a_draw_needs_dropout(tmp_path):
    result = CliRunner().invoke(
        app, ["extract", str(tmp_path), str(tmp_path / "out"), "--encoder", "llm", "--draw", "1"]
    )
    assert result.exit_code == 1
    assert "--draw: there are no draws in mode eval; remove it, or add --mode dropout." in result.output
