"""Heads that learn from one of several states that a teacher keeps."""

import numpy as np
import pytest
from typer.testing import CliRunner

from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.heads import ContrastiveSettings, RidgeSettings, fit_contrastive, fit_ridge
from expclip_cache.heads.head_file import read_head, read_record
from expclip_cache.workers import RunSettings
from tiny_caches import write_cache

ROWS, WIDTH = 300, 6
STATES = ["last@0.5", "last@1"]


@pytest.fixture
def caches(tmp_path):
    """Image features, and targets of two states: separate caches, and one cache with both."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 8))
    y = [(x @ random.normal(size=(8, WIDTH)) + random.normal(size=(ROWS, WIDTH))).astype("f2") for _ in STATES]
    images = write_cache(tmp_path / "images", x.astype("f2"), 32, logit_scale=100.0)
    alone = [write_cache(tmp_path / f"alone-{number}", part, 32) for number, part in enumerate(y)]
    both = write_cache(
        tmp_path / "both", np.hstack(y), 48, width=WIDTH, vectors=len(STATES), settings={"states": STATES}
    )
    return images, alone, both


@pytest.mark.parametrize("state", [0, 1])
def test_a_ridge_head_is_that_of_the_state_alone(caches, state):
    images, alone, both = caches
    found = fit_ridge(images, FeatureCache(both.store, vector=state), RidgeSettings(batch_size=15))
    expected = fit_ridge(images, alone[state], RidgeSettings(batch_size=15))
    assert (found.weights == expected.weights).all()
    assert found.settings["fingerprints"]["targets"] == f"{both.fingerprint} vector {state}"


def test_sums_in_other_processes_are_those_of_the_state(caches, tmp_path):
    images, alone, both = caches
    run = RunSettings(device="cpu", processes=2)
    found = fit_ridge(images, FeatureCache(both.store, vector=1), RidgeSettings(batch_size=15), run=run)
    assert (found.weights == fit_ridge(images, alone[1], RidgeSettings(batch_size=15)).weights).all()


def test_a_contrastive_head_is_that_of_the_state_alone(caches):
    images, alone, both = caches
    settings = ContrastiveSettings(epochs=2, batch_size=20, seeds=(1,))
    found = fit_contrastive(images, FeatureCache(both.store, vector=1), settings, device="cpu")
    assert (found.weights == fit_contrastive(images, alone[1], settings, device="cpu").weights).all()


def test_the_command_names_a_state(caches, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, alone, both = caches
    base = ["train", str(images), "head.safetensors", "--kind", "ridge", "--batch-size", "15", "--targets", str(both)]
    refused = CliRunner().invoke(app, base)
    assert refused.exit_code == 1
    assert "expected one target for each image, found 2: last@0.5, last@1. Choose one of them with --state" in " ".join(
        refused.output.split()
    )
    refused = CliRunner().invoke(app, [*base, "--state", "text@1"])
    assert "--state: expected one of last@0.5, last@1" in " ".join(refused.output.split())
    assert CliRunner().invoke(app, [*base, "--state", "last@1.0"]).exit_code == 0
    expected = fit_ridge(images, alone[1], RidgeSettings(batch_size=15)).weights
    assert (read_head(tmp_path / "head.safetensors") == expected).all()
    assert read_record(tmp_path / "head.safetensors")["fingerprints"]["targets"].endswith("vector 1")
