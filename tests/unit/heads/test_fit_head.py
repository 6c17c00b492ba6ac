"""`expclip-cache fit-head`: one teacher, several, and sums made in parts."""

import re
from pathlib import Path

import numpy as np
import pytest
from test_ridge import features, relative_error, witness
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from expclip_cache.heads.head_file import read_head
from tiny_caches import write_cache

ROWS = 300


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """Image features x and the targets of two teachers, y and z; float32, so that a witness can be exact."""
    monkeypatch.chdir(tmp_path)
    X, Y = (values.astype("f4") for values in features(ROWS, 8, 20, 0))
    Z = features(ROWS, 8, 5, 1)[1].astype("f4")
    write_cache(tmp_path / "x", X, 16, logit_scale=50.0)
    write_cache(tmp_path / "y", Y, 16)
    write_cache(tmp_path / "z", Z, 100)
    return X.astype("f8"), Y.astype("f8"), Z.astype("f8")


def fit(*words: str, ok: bool = True) -> str:
    result = CliRunner().invoke(app, ["fit-head", "x", "out.safetensors", *words])
    assert (result.exit_code == 0) is ok, result.output
    return result.output


def test_one_teacher_gives_the_ridge_solution(caches):
    X, Y, _ = caches
    fit("--targets", "y", "--lambda", "0.3")
    assert relative_error(fitted_head(), witness(X, Y, 0.3)) < 1e-6


def test_the_heads_of_several_teachers_are_stacked_by_weight(caches):
    X, Y, Z = caches
    fit("--targets", "y", "--targets", "z", "--weight", "1", "--weight", "0.25", "--lambda", "0.1")
    both = np.concatenate([witness(X, Y, 0.1), 0.5 * witness(X, Z, 0.1)])
    assert relative_error(fitted_head(), both) < 1e-6


def test_lambda_is_chosen_on_held_out_images_by_default(caches):
    output = fit("--targets", "y", "--held-out", "0.2", "--batch-size", "20")
    value = float(re.search(r"y: lambda ([\d.]+) \(loss [\d.]+ on 60 held-out images", output)[1])
    X, Y, _ = caches
    kept = np.arange(ROWS) % 5 != 4
    assert relative_error(fitted_head(), witness(X[kept], Y[kept], value)) < 1e-6


def test_sums_made_in_parts_give_the_same_bytes(caches, tmp_path):
    """19 shards are groups of 8, 8 and 3."""
    fit("--targets", "y", "--targets", "z", "--moments", "whole")
    expected = (tmp_path / "out.safetensors").read_bytes()
    (tmp_path / "out.safetensors").unlink()
    for part, files in (("8:19", 4), ("0:8", 2)):
        output = fit("--targets", "y", "--targets", "z", "--shards", part)
        assert f"in {files} files; the command without --shards uses them" in output.replace("\n", " ")
    assert not (tmp_path / "out.safetensors").exists()
    output = fit("--targets", "y", "--targets", "z")
    assert "moments:" not in output, "nothing was left to sum"
    assert (tmp_path / "out.safetensors").read_bytes() == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--targets", "y", "--weight", "1", "--weight", "2"], "a positive weight for each of 1 targets"),
        (["--targets", "y", "--weight", "0"], "a positive weight"),
        (["--targets", "y", "--targets", "y"], "given twice"),
        (["--targets", "y", "--shards", "3:90"], "expected a part of 0:19"),
        (["--targets", "y", "--shards", "3:16"], "a part must start at a multiple of 8"),
        (["--targets", "y", "--shards", "0:12"], "end at one or at 19, the number of shards. Use 0:16."),
        (["--targets", "nowhere"], "complete feature cache"),
        (["--targets", "y", "--lambda", "-1"], "greater than 0"),
    ],
)
def test_invalid_arguments_are_refused_with_one_message(caches, words, message):
    output = fit(*words, ok=False)
    assert message in output.replace("\n", " ")


def test_swapped_images_and_targets_are_refused(caches):
    result = CliRunner().invoke(app, ["fit-head", "y", "out.safetensors", "--targets", "x"])
    assert result.exit_code == 1
    assert "Give the image features first" in result.output


def fitted_head() -> np.ndarray:
    return read_head(Path("out.safetensors"))
