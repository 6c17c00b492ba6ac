"""Heads are fitted on the mean of an item's vectors: as on a cache of the means."""

import numpy as np
import pytest

from expclip_cache.cache.writer import CacheWriter
from expclip_cache.heads.contrastive import fit_contrastive
from expclip_cache.heads.ridge.fitting import fit_ridge
from expclip_cache.heads.settings import ContrastiveSettings, RidgeSettings
from tiny_caches import write_cache

ROWS, FRAMES, VECTORS, D, T = 90, 2, 3, 8, 12


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """Several vectors an item, their means, and targets."""
    folder, random = tmp_path_factory.mktemp("caches"), np.random.default_rng(4)
    several = random.normal(size=(ROWS, FRAMES * VECTORS * D)).astype(np.float32)
    with CacheWriter(
        folder / "several",
        manifest="m1",
        settings={"frames": FRAMES},
        encoder={"width": D, "vectors": VECTORS, "logit_scale": 30.0},
        dtype="float32",
        shard_rows=16,
    ) as writer:
        writer.add(several)
        images = writer.finish()
    means = several.reshape(ROWS, -1, D).mean(axis=1, dtype=np.float32)
    plain = write_cache(folder / "means", means, 16, logit_scale=30.0, dtype="float32")
    targets = write_cache(folder / "targets", random.normal(size=(ROWS, T)).astype("f2"), 16)
    return images, plain, targets


def test_in_closed_form(caches):
    several, means, targets = caches
    settings = RidgeSettings(choose="fixed", fixed=0.2)
    assert (
        fit_ridge(several, targets, settings).weights.tobytes() == fit_ridge(means, targets, settings).weights.tobytes()
    )


def test_contrastively(caches):
    several, means, targets = caches
    settings = ContrastiveSettings(lr=0.05, batch_size=30, epochs=2, seeds=(1,))
    first, second = (fit_contrastive(images, targets, settings, device="cpu") for images in (several, means))
    assert first.weights.shape == (1, T, D)
    assert first.weights.tobytes() == second.weights.tobytes()
