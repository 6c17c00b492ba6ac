"""A fit that is limited to some rows is that of caches in which no other row has features."""

import numpy as np
import pytest

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.heads.contrastive import fit_contrastive
from expclip_cache.heads.current import current_heads
from expclip_cache.heads.ridge.fitting import fit_ridge
from expclip_cache.heads.settings import ContrastiveSettings, RidgeSettings
from expclip_cache.workers import RunSettings
from tiny_study import BAD, HEADS, ROWS, fit, write_images, write_targets

CHOSEN = np.array([90, 2, 5, 8, *range(20, 80), 100, 110, 119])
"""In any order; row 77 has no image features, row 50 no target."""

OTHERS = tuple({*range(ROWS)} - {*CHOSEN.tolist()} | {*BAD})


@pytest.fixture
def caches(tmp_path):
    """The caches, and the image features of the chosen rows alone."""
    return (
        write_images(tmp_path / "x"),
        write_targets(tmp_path / "y"),
        write_images(tmp_path / "some" / "x", bad=OTHERS),
    )


@pytest.mark.parametrize("settings", [HEADS["ridge"], HEADS["ridge-fixed"]], ids=["held_out", "fixed"])
def test_a_limited_ridge_head_is_that_of_a_cache_of_these_rows(caches, settings):
    images, targets, some = caches
    limited, expected = fit_ridge(images, targets, settings, only=CHOSEN), fit_ridge(some, targets, settings)
    assert limited.weights.tobytes() == expected.weights.tobytes()
    assert limited.metrics == expected.metrics
    assert limited.rows + limited.held_out == len(CHOSEN) - 2


def test_worker_processes_sum_the_same_rows(caches):
    images, targets, _ = caches
    alone, shared = (
        fit_ridge(images, targets, HEADS["ridge-fixed"], only=CHOSEN, run=RunSettings(processes=count))
        for count in (1, 2)
    )
    assert alone.weights.tobytes() == shared.weights.tobytes()


def test_kept_sums_of_all_rows_are_not_used_for_some(caches, tmp_path):
    images, targets, _ = caches
    fit_ridge(images, targets, HEADS["ridge"], moments=tmp_path / "moments")
    limited = fit_ridge(images, targets, HEADS["ridge"], only=CHOSEN, moments=tmp_path / "moments")
    assert limited.weights.tobytes() == fit_ridge(images, targets, HEADS["ridge"], only=CHOSEN).weights.tobytes()


def test_limited_contrastive_heads_are_those_of_a_cache_of_these_rows(caches):
    images, targets, some = caches
    settings = ContrastiveSettings(lr=0.05, epochs=2, batch_size=20, seeds=(1, 2))
    limited = fit_contrastive(images, targets, settings, only=CHOSEN, device="cpu")
    expected = fit_contrastive(some, targets, settings, device="cpu")
    assert limited.weights.tobytes() == expected.weights.tobytes()
    assert limited.rows == expected.rows == len(CHOSEN) - 2


def test_too_few_rows_for_a_batch_are_refused(caches):
    with pytest.raises(SettingsError, match="batch_size is 512, but only 65 images"):
        fit_contrastive(*caches[:2], ContrastiveSettings(), only=CHOSEN, device="cpu")


def test_the_heads_of_a_study_are_found_if_they_are_as_requested(caches, tmp_path):
    images, targets, some = caches
    heads = {name: HEADS[name] for name in ("slow", "ridge")}
    fitted = fit(images, targets, tmp_path / "heads", heads)
    found = current_heads(images, [targets], heads, tmp_path / "heads")
    assert list(found.items()) == [((head.name, head.seed), head.path) for head in fitted]
    with pytest.raises(DataError, match=r"slow/seed-1.safetensors: .* was fitted to other features"):
        current_heads(some, [targets], heads, tmp_path / "heads")
    with pytest.raises(DataError, match=r"closed-form.*other settings.*Run `dvc repro heads`"):
        current_heads(images, [targets], {"ridge": RidgeSettings()}, tmp_path / "heads")
    found["slow", 2].unlink()
    with pytest.raises(DataError, match=r"slow/seed-2.safetensors: .* is missing"):
        current_heads(images, [targets], heads, tmp_path / "heads")
