"""Loading and validation of settings files."""

from pathlib import Path

import pytest

from expclip_cache.base.errors import SettingsError
from expclip_cache.base.section import build
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.settings.file import load_settings
from expclip_cache.workers.settings import RunSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def edited(tmp_path):
    def edit(old: str, new: str) -> Path:
        text = (ROOT / "configs/demo.yaml").read_text()
        assert old in text
        path = tmp_path / "params.yaml"
        path.write_text(text.replace(old, new))
        return path

    return edit


@pytest.mark.parametrize(
    "path", ["params.yaml", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("configs/*"))]
)
def test_included_settings_files_are_valid(path):
    load_settings(ROOT / path)


def test_an_unknown_key_is_an_error_that_lists_the_known_keys_and_the_closest(edited):
    with pytest.raises(
        SettingsError, match=r"train\.learning_rate: unknown key.*Known keys: lr, momentum, .*, dataset, fit"
    ):
        load_settings(edited("  lr: 0.03", "  learning_rate: 0.01"))
    with pytest.raises(SettingsError, match="Did you mean 'epochs'"):
        load_settings(edited("  epochs: 20", "  epoch: 20"))


def test_a_prompt_file_must_be_in_the_folder_that_dvc_tracks(edited):
    assert load_settings(edited("set: reference", "set: prompts/mine.yaml")).prompts.is_file
    with pytest.raises(SettingsError, match=r"prompts\.set is 'mine\.yaml'.*move the file there"):
        load_settings(edited("set: reference", "set: mine.yaml"))


def test_every_error_is_listed(edited):
    path = edited("  epochs: 20", "  epochs: 0\n  speed: 1")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert "train.epochs" in str(caught.value)
    assert "train.speed" in str(caught.value)


def test_scientific_notation_is_a_number(edited):
    assert load_settings(edited("  lr: 0.03", "  lr: 1e-3")).train.lr == 0.001


def test_an_unknown_dataset_name(edited):
    with pytest.raises(SettingsError, match=r"train\.dataset names 'demo-trian', which is not in datasets: demo-train"):
        load_settings(edited("  dataset: demo-train", "  dataset: demo-trian"))


def test_two_encoders_with_the_same_name_are_rejected(edited):
    with pytest.raises(SettingsError, match="need separate folders"):
        load_settings(edited("  name: demo-llm", "  name: demo-clip"))


def test_a_missing_file_is_an_error_that_says_what_to_copy(tmp_path):
    with pytest.raises(SettingsError, match=r"Copy a preset there, for example configs/demo\.yaml"):
        load_settings(tmp_path / "params.yaml")


def test_invalid_yaml(tmp_path):
    (tmp_path / "params.yaml").write_text("clip: [")
    with pytest.raises(SettingsError, match="not valid YAML"):
        load_settings(tmp_path / "params.yaml")


def test_an_invalid_value():
    with pytest.raises(SettingsError, match=r"dtype: .*'float16' or 'float32', found 'int8'"):
        build(CacheSettings, dtype="int8")


@pytest.mark.parametrize(("given", "expected"), [("auto", "auto"), ("64", 64), (1, 1)])
def test_a_batch_size_is_a_number_or_auto(given, expected):
    assert build(RunSettings, batch_size=given).batch_size == expected


@pytest.mark.parametrize("given", ["many", 0, "-1", 2.5, True, None, "1_000", "²"])
def test_any_other_batch_size_is_rejected_in_one_sentence(given):
    with pytest.raises(
        SettingsError, match=r"^settings: batch_size: expected auto or a number of images >= 1, found .*$"
    ):
        build(RunSettings, batch_size=given)
