"""`expclip-cache sweep`: every combination is trained, and each head is the one that a single run gives."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from test_ridge import features
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from expclip_cache.heads import contrastive
from expclip_cache.heads.head_file import read_head
from expclip_cache.heads.settings import ContrastiveSettings
from expclip_cache.heads.training import train_heads
from tiny_caches import write_cache

GRID = ["--lr", "0.01", "--lr", "0.1", "--weight-decay", "1e-4", "--seed", "1", "--seed", "2"]


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, Y = (values.astype("f4") for values in features(200, 8, 20, 0))
    Z = features(200, 8, 20, 1)[1].astype("f4")
    write_cache(tmp_path / "x", X, 64, logit_scale=20.0)
    write_cache(tmp_path / "y", Y, 64)
    write_cache(tmp_path / "z", Z, 100)
    write_cache(tmp_path / "narrow", Z[:, :5].copy(), 100)
    return X, {"y": Y, "z": Z}


def run(*words: str):
    return CliRunner().invoke(app, ["sweep", "x", "out", "--batch-size", "50", "--epochs", "3", *words])


@pytest.mark.parametrize("enough_memory", [True, False])
def test_every_head_is_that_of_a_single_run(caches, monkeypatch, enough_memory):
    """Also if memory is short, so that heads train in groups and rows are streamed."""
    if not enough_memory:
        limit = 3 * 4 * (3 * 160 + 50 * (8 + 100 + 200))
        monkeypatch.setattr(contrastive, "fits_in_memory", lambda size, device: size <= limit)
    X, targets = caches
    result = run("--targets", "y", "--targets", "z", *GRID)
    assert result.exit_code == 0, result.output
    assert len(list(Path("out").glob("*.safetensors"))) == 8
    with Path("out/sweep.csv").open() as file:
        losses = {(line["head"], line["epoch"]): float(line["loss"]) for line in csv.DictReader(file)}
    assert len(losses) == 8 * 3
    for name, values in targets.items():
        for lr in (0.01, 0.1):
            settings = ContrastiveSettings(lr=lr, batch_size=50, epochs=3, seeds=(1, 2))
            alone = train_heads(X, values, 20.0, settings, torch.device("cpu"))
            for place, seed in enumerate((1, 2)):
                head = f"{name}_lr-{lr:g}_wd-0.0001_seed-{seed}"
                np.testing.assert_allclose(read_head(Path(f"out/{head}.safetensors")), alone.weights[place], atol=1e-5)
                assert losses[head, "3"] == pytest.approx(alone.losses[place, -1], abs=1e-4)
            mean, spread = alone.losses[:, -1].mean(), alone.losses[:, -1].std(ddof=1)
            assert f"{mean:.4f} ±{spread:.4f}" in result.output


def test_the_defaults_are_the_references(caches):
    X, targets = caches
    assert run("--targets", "y").exit_code == 0
    settings = ContrastiveSettings(batch_size=50, epochs=3)
    alone = train_heads(X, targets["y"], 20.0, settings, torch.device("cpu"))
    head = read_head(Path("out/lr-0.001_wd-0.0001_seed-1.safetensors"))
    assert head.tobytes() == alone.weights[0].tobytes()


def test_teachers_whose_folders_have_one_name_get_files_of_their_own(caches, tmp_path):
    """As features/<llm>/<dataset> has them for two LLMs."""
    for llm, values in caches[1].items():
        write_cache(tmp_path / llm / "faces", values, 64)
    result = run("--targets", "y/faces", "--targets", "z/faces")
    assert result.exit_code == 0, result.output
    names = sorted(path.name.partition("_")[0] for path in Path("out").glob("*.safetensors"))
    assert names == ["y-faces", "z-faces"]
    assert all(name in result.output for name in names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--targets", "y", "--targets", "y"], "given twice"),
        (["--targets", "y", "--targets", "narrow"], "expected targets of one width, found [5, 20]"),
        (["--targets", "y", "--lr", "0.1", "--lr", "-1"], "lr: Input should be greater than 0"),
        (["--targets", "y", "--batch-size", "300"], "less than one full batch"),
        (["--targets", "nowhere"], "complete feature cache"),
    ],
)
def test_invalid_arguments_are_refused_with_one_message(caches, words, message):
    result = run(*words)
    assert result.exit_code == 1, result.output
    assert message in result.output.replace("\n", " ")
    assert not Path("out").exists()
