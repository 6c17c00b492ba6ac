"""`expclip-cache train`: each head is the library's; ridge with one teacher, several, and sums made in parts."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from expclip_cache.cache.reader import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.heads import fit_contrastive
from expclip_cache.heads.head_file import read_head, read_record
from expclip_cache.heads.settings import ContrastiveSettings, RidgeSettings
from expclip_cache.heads.training import train_heads
from ridge_witness import features, relative_error, witness
from tiny_caches import write_cache

ROWS = 300


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Image features x and the targets of two teachers, y and z; float32, so that a witness can be exact."""
    folder = tmp_path_factory.mktemp("written")
    X, Y = (values.astype("f4") for values in features(ROWS, 8, 20, 0))
    Z = features(ROWS, 8, 5, 1)[1].astype("f4")
    write_cache(folder / "x", X, 16, logit_scale=50.0)
    write_cache(folder / "y", Y, 16)
    write_cache(folder / "z", Z, 100)
    return folder, X, Y, Z


@pytest.fixture
def caches(written, tmp_path, monkeypatch):
    folder, *features_and_targets = written
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tuple(values.astype("f8") for values in features_and_targets)


def train(*words: str, out: str = "out.safetensors", ok: bool = True) -> str:
    result = CliRunner().invoke(app, ["train", "x", out, *words])
    assert (result.exit_code == 0) is ok, result.output
    return result.output


def ridge(*words: str, ok: bool = True) -> str:
    return train("--kind", "ridge", *words, ok=ok)


def one_line(output: str) -> str:
    return " ".join(output.split())


SMALL = ("--targets", "y", "--batch-size", "50", "--epochs", "3")


def test_a_contrastive_head_is_the_one_the_loop_gives(caches):
    X, Y, _ = (values.astype("f4") for values in caches)
    output = one_line(train(*SMALL, "--lr", "0.03", "--momentum", "0.8", "--weight-decay", "0.01", "--seed", "7"))
    settings = ContrastiveSettings(lr=0.03, momentum=0.8, weight_decay=0.01, epochs=3, batch_size=50, seeds=(7,))
    alone = train_heads(X, Y, 50.0, settings, torch.device("cpu"))
    assert fitted_head().tobytes() == alone.weights[0].tobytes()
    record = read_record(Path("out.safetensors"))
    assert [record[key] for key in ("kind", "lr", "momentum", "weight_decay", "epochs", "batch_size", "seed")] == [
        *("contrastive", 0.03, 0.8, 0.01, 3, 50, 7)
    ]
    assert (
        f"out.safetensors: seed 7, loss {alone.losses[0, -1]:.4f} after 3 epochs on 300 images (chance 3.9120); "
        "takes CLIP features of width 8" in output
    )
    assert "next: expclip-cache score IMAGE-FEATURES --prompt-features CACHE --head out.safetensors" in output


def test_the_defaults_are_the_references(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, Y = (values.astype("f4") for values in features(1100, 8, 20, 3))
    write_cache(tmp_path / "x", X, 500, logit_scale=50.0)
    write_cache(tmp_path / "y", Y, 500)
    train("--targets", "y")
    expected = fit_contrastive(FeatureCache("x"), FeatureCache("y"), ContrastiveSettings())
    assert fitted_head().tobytes() == expected.weights[0].tobytes()
    record = read_record(Path("out.safetensors"))
    assert (record["lr"], record["momentum"], record["weight_decay"]) == (1e-3, 0.9, 1e-4)
    assert (record["epochs"], record["batch_size"], record["seed"]) == (5, 512, 1)
    assert ridge("--targets", "y")
    record = read_record(Path("out.safetensors"))
    assert record["lambdas"] == list(RidgeSettings().lambdas)
    assert (record["held_out"], record["tolerance"], record["batch_size"], record["choose"]) == (
        *(0.1, 0.03, 512),
        "held_out",
    )


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize("seeds", [("--seeds", "1,2"), ("--seed", "1", "--seed", "2")])
def test_several_seeds_fill_a_folder(seeds):
    output = one_line(train(*SMALL, *seeds, out="heads/mine"))
    names = [f"heads/mine/seed-{seed}.safetensors" for seed in (1, 2)]
    assert sorted(map(str, Path("heads/mine").iterdir())) == names
    settings = ContrastiveSettings(epochs=3, batch_size=50, seeds=(1, 2))
    both = fit_contrastive(FeatureCache("x"), FeatureCache("y"), settings)
    for number, name in enumerate(names):
        assert read_head(Path(name)).tobytes() == both.weights[number].tobytes()
        assert f"{name}: seed {number + 1}, loss {both.losses[number, -1]:.4f}" in output
    assert f"--head {names[0]} --head {names[1]}" in output


def test_one_teacher_gives_the_ridge_solution(caches):
    X, Y, _ = caches
    ridge("--targets", "y", "--lambda", "0.3")
    assert relative_error(fitted_head(), witness(X, Y, 0.3)) < 1e-6
    ridge("--targets", "y", "--fixed", "0.2")
    assert relative_error(fitted_head(), witness(X, Y, 0.2)) < 1e-6


def test_the_heads_of_several_teachers_are_stacked_by_weight(caches):
    X, Y, Z = caches
    output = ridge(
        "--targets", "y", "--targets", "z", "--teacher-weight", "1", "--teacher-weight", "0.25", "--lambda", "0.1"
    )
    both = np.concatenate([witness(X, Y, 0.1), 0.5 * witness(X, Z, 0.1)])
    assert relative_error(fitted_head(), both) < 1e-6
    assert "fitted to 2 teachers" in one_line(output)
    assert "--head out.safetensors" in one_line(output)


def test_lambda_is_chosen_on_held_out_images_by_default(caches):
    output = ridge("--targets", "y", "--held-out", "0.2", "--batch-size", "20")
    value = float(re.search(r"y: lambda ([\d.]+) \(loss [\d.]+ on 60 held-out images", output)[1])
    X, Y, _ = caches
    kept = np.arange(ROWS) % 5 != 4
    assert relative_error(fitted_head(), witness(X[kept], Y[kept], value)) < 1e-6


@pytest.mark.usefixtures("caches")
def test_lambda_is_chosen_from_the_candidates_that_are_given():
    assert "y: lambda 0.7 (loss" in ridge("--targets", "y", "--lambdas", "0.7")
    assert read_record(Path("out.safetensors"))["lambdas"] == [0.7]
    ridge("--targets", "y", "--lambdas", "0.5,2", "--lambdas", "8", "--tolerance", "0.9")
    assert read_record(Path("out.safetensors"))["lambdas"] == [0.5, 2, 8]
    assert read_record(Path("out.safetensors"))["tolerance"] == 0.9


@pytest.mark.usefixtures("caches")
def test_sums_made_in_parts_give_the_same_bytes(tmp_path):
    """19 shards are groups of 8, 8 and 3."""
    ridge("--targets", "y", "--targets", "z", "--moments", "whole")
    expected = (tmp_path / "out.safetensors").read_bytes()
    (tmp_path / "out.safetensors").unlink()
    for part, files in (("8:19", 4), ("0:8", 2)):
        output = one_line(ridge("--targets", "y", "--targets", "z", "--shards", part))
        assert f"in {files} files; the command without --shards uses them" in output
        assert "next:" not in output
    assert not (tmp_path / "out.safetensors").exists()
    output = ridge("--targets", "y", "--targets", "z")
    assert "moments:" not in output, "nothing was left to sum"
    assert (tmp_path / "out.safetensors").read_bytes() == expected


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--targets", "y", "--teacher-weight", "1", "--teacher-weight", "2"],
            "a positive weight for each of 1 targets",
        ),
        (["--targets", "y", "--teacher-weight", "0"], "a positive weight"),
        (["--targets", "y", "--targets", "y"], "given twice"),
        (["--targets", "y", "--shards", "3:90"], "expected a part of 0:19"),
        (["--targets", "y", "--shards", "3:16"], "a part must start at a multiple of 8"),
        (["--targets", "y", "--shards", "0:12"], "end at one or at 19, the number of shards. Use 0:16."),
        (["--targets", "nowhere"], "complete feature cache"),
        (["--targets", "y", "--lambda", "-1"], "--lambda: Input should be greater than 0, found -1.0."),
        (["--targets", "y", "--lambdas", "1,-1"], "--lambdas: Input should be greater than 0, found '-1'."),
        (["--targets", "y", "--batch-size", "1"], "--batch-size: Input should be greater than or equal to 2"),
        (["--targets", "y", "--lr", "1"], "--lr belongs to --kind contrastive; remove it."),
        (["--targets", "y", "--seed", "1"], "--seeds belongs to --kind contrastive; remove it."),
        (["--targets", "y", "--lambda", "1", "--tolerance", "0.1"], "--tolerance is for choosing lambda, but --lambda"),
    ],
)
def test_invalid_arguments_for_ridge_are_refused_with_one_message(words, message):
    assert message in one_line(ridge(*words, ok=False))
    assert not Path("out.safetensors").exists()


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--targets", "y", "--targets", "z"], "--targets: --kind contrastive takes one teacher, found 2."),
        (["--targets", "y", "--lr", "-1"], "--lr: Input should be greater than 0"),
        (["--targets", "y", "--seeds", "1,x"], "--seeds: Input should be a valid integer"),
        (["--targets", "y", "--seeds", "1,1"], "expected each seed once"),
        (["--targets", "y", "--seeds", "1,2"], "out.safetensors: expected a folder for the heads of 2 seeds"),
        (["--targets", "y"], "less than one full batch"),
        (["--targets", "y", "--device", "tpu"], "tpu"),
        (["--targets", "nowhere"], "complete feature cache"),
        (["--targets", "y", "--lambda", "1"], "--lambda belongs to --kind ridge; remove it, or add --kind ridge."),
        (["--targets", "y", "--fixed", "1"], "--lambda belongs to --kind ridge; remove it, or add --kind ridge."),
        (["--targets", "y", "--shards", "0:8"], "--shards belongs to --kind ridge"),
        (["--targets", "y", "--teacher-weight", "1"], "--teacher-weight belongs to --kind ridge"),
    ],
)
def test_invalid_arguments_for_contrastive_are_refused_with_one_message(words, message):
    assert message in one_line(train(*words, ok=False))
    assert not Path("out.safetensors").exists()


@pytest.mark.usefixtures("caches")
def test_one_seed_is_a_file_not_a_folder():
    Path("heads").mkdir()
    output = one_line(train(*SMALL, out="heads", ok=False))
    assert "heads: expected a file for the head, found a folder; try heads/head.safetensors." in output


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize("kind", ["contrastive", "ridge"])
def test_swapped_images_and_targets_are_refused(kind):
    result = CliRunner().invoke(app, ["train", "y", "out.safetensors", "--targets", "x", "--kind", kind])
    assert result.exit_code == 1
    assert "Give the image features first" in one_line(result.output)


def fitted_head() -> np.ndarray:
    return read_head(Path("out.safetensors"))
