"""From feature caches to contrastive heads and their files."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from expclip_cache.base.errors import CacheError, SettingsError
from expclip_cache.heads import contrastive
from expclip_cache.heads.contrastive import fit_contrastive
from expclip_cache.heads.head_file import read_head
from expclip_cache.heads.settings import ContrastiveSettings
from expclip_cache.heads.training import train_heads
from tiny_caches import write_cache

SETTINGS = ContrastiveSettings(lr=0.05, batch_size=40, epochs=3, seeds=(1, 2))


@pytest.fixture
def caches(tmp_path):
    """Images with row 3 skipped, targets with row 17 skipped, and a second draw of the targets."""
    random = np.random.default_rng(0)
    X, Y, Z = (random.normal(size=(200, width)).astype("f2") for width in (12, 20, 20))
    images = write_cache(tmp_path / "x", X, 64, bad=(3,), logit_scale=30.0)
    targets = write_cache(tmp_path / "y", Y, 50, bad=(17,))
    kept = np.delete(np.arange(200), [3, 17])
    return images, targets, write_cache(tmp_path / "z", Z, 64), X[kept], Y[kept], Z[kept]


def fit(images, targets, settings=SETTINGS, **more):
    return fit_contrastive(images, targets, settings, device="cpu", **more)


def test_heads_are_trained_on_the_paired_rows(caches):
    images, targets, _, X, Y, _ = caches
    heads = fit(images, targets)
    expected = train_heads(X, Y, 30.0, SETTINGS, torch.device("cpu"))
    assert heads.rows == 198
    assert heads.weights.tobytes() == expected.weights.tobytes()
    assert heads.losses.tobytes() == expected.losses.tobytes()


def test_several_caches_of_targets_are_draws(caches):
    images, targets, second, X, Y, Z = caches
    expected = train_heads(X, np.concatenate([Y, Z]), 30.0, SETTINGS, torch.device("cpu"))
    assert fit(images, [targets, second]).weights.tobytes() == expected.weights.tobytes()


@pytest.mark.parametrize("heads_at_once", [1, 2])
def test_short_memory_streams_the_rows_in_groups_of_heads(caches, monkeypatch, heads_at_once):
    images, targets, *_ = caches
    expected = fit(images, targets).weights
    bytes_per_head = 4 * (3 * 12 * 20 + 40 * (12 + 5 * 20 + 4 * 40))
    monkeypatch.setattr(contrastive, "fits_in_memory", lambda size, device: size == heads_at_once * bytes_per_head)
    assert fit(images, targets).weights.tobytes() == expected.tobytes()


def test_a_head_file_records_its_settings_and_caches(caches, tmp_path):
    images, targets, *_ = caches
    heads = fit(images, targets)
    heads.write(1, tmp_path / "seed-2.safetensors", dataset="faces")
    assert (read_head(tmp_path / "seed-2.safetensors") == heads.weights[1]).all()
    with safe_open(tmp_path / "seed-2.safetensors", framework="np") as file:
        recorded = json.loads(file.metadata()["settings"])
    assert recorded == {
        "kind": "contrastive",
        "lr": 0.05,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "epochs": 3,
        "batch_size": 40,
        "seed": 2,
        "dataset": "faces",
        "found": {"rows": 198, "losses": np.round(heads.losses[1], 6).tolist()},
        "xxh3_128": recorded["xxh3_128"],
        "clip": {"model": "x", "weights_sha256": "w"},
        "fingerprints": {"images": images.identity.fingerprint, "targets": targets.identity.fingerprint},
    }


def test_images_must_be_a_clips(caches):
    images, targets, *_ = caches
    with pytest.raises(CacheError, match="expected the features of a CLIP"):
        fit(targets, images)


def test_fewer_images_than_a_batch_are_an_error(caches):
    images, targets, *_ = caches
    with pytest.raises(SettingsError, match="batch_size is 512, but only 198 images"):
        fit(images, targets, ContrastiveSettings())


def test_the_defaults_are_the_references(caches):
    images, targets, *_, X, Y, _ = caches
    heads = fit(images, targets, ContrastiveSettings(batch_size=40, epochs=3))
    by_hand = ContrastiveSettings(lr=0.001, momentum=0.9, weight_decay=1e-4, batch_size=40, epochs=3, seeds=(1,))
    assert heads.weights.tobytes() == train_heads(X, Y, 30.0, by_hand, torch.device("cpu")).weights.tobytes()
    assert (ContrastiveSettings().batch_size, ContrastiveSettings().epochs) == (512, 5)
