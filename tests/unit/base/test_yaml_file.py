"""YAML files of strangers: a few lines can stand for billions of values."""

import pytest

from expclip_cache.base import SettingsError, load_yaml
from expclip_cache.base.yaml_file import MAX_BYTES

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)
"""A trillion values in 900 bytes."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 200,000 values"),
        ("a: &a\n  b: *a\n", "more than 200,000 values, or more than 50 levels"),
        ("[" * 100 + "]" * 100, "more than 50 levels"),
        ("[" * 1_000, "nested too deeply|not valid YAML"),
        ("a: " + "x" * MAX_BYTES, "larger than"),
        ("a: [1\n", "not valid YAML"),
    ],
    ids=["aliases", "a cycle", "deep", "very deep", "large", "broken"],
)
def test_a_file_that_is_no_settings_is_refused_at_once(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SettingsError, match=rf"a\.yaml: .*({message})"):
        load_yaml(tmp_path / "a.yaml")


def test_aliases_may_be_used(tmp_path):
    (tmp_path / "a.yaml").write_text("first: &one {lr: 1e-3}\nsecond: *one\n")
    assert load_yaml(tmp_path / "a.yaml") == {"first": {"lr": 0.001}, "second": {"lr": 0.001}}
