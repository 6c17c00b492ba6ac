"""A cache of several vectors in a row, of which one is read alone."""

import numpy as np
import pytest

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache, paired_rows
from tiny_caches import write_cache

WIDTH, VECTORS, ROWS = 3, 4, 23


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, VECTORS * WIDTH)).astype(np.float16)


@pytest.fixture
def cache(tmp_path, features) -> FeatureCache:
    states = {"states": ["all@1", "last@0.5", "last@1", "text@1"]}
    return write_cache(tmp_path / "c", features, 5, bad=(7,), width=WIDTH, vectors=VECTORS, settings=states)


@pytest.mark.parametrize("vector", range(VECTORS))
@pytest.mark.parametrize(
    "rows", [slice(0, 5), [3, 1, 22, 4], np.arange(8, 23), 6, slice(0, 0)], ids=["shard", "any", "many", "one", "none"]
)
def test_it_reads_that_vector_of_every_row(cache, features, vector, rows):
    one = FeatureCache(cache.store, vector=vector)
    expected = features[rows][..., vector * WIDTH : (vector + 1) * WIDTH]
    assert (one[rows] == expected).all()
    assert (one[rows] == expected).all()  # a second time: the shards are mapped by now
    assert one[rows].dtype == np.float16
    assert one.width == one.layout.row_width == WIDTH
    assert (one.item_vectors(rows) == np.atleast_2d(expected)).all()


def test_everything_else_is_that_of_the_whole_cache(cache):
    one = FeatureCache(cache.store, vector=2)
    assert one.identity == cache.identity
    assert one.skipped == cache.skipped
    assert one.paths() == cache.paths()
    assert one.to_torch().shape == (ROWS - 1, WIDTH)


def test_the_fingerprints_differ(cache):
    prints = {FeatureCache(cache.store, vector=vector).fingerprint for vector in (None, *range(VECTORS))}
    assert len(prints) == VECTORS + 1
    assert cache.fingerprint == cache.identity.fingerprint


@pytest.mark.parametrize("vector", [-1, VECTORS])
def test_a_vector_that_is_not_there_is_refused(cache, vector):
    with pytest.raises(CacheError, match=f"4 vectors in a row, 0 to 3, requested {vector}"):
        FeatureCache(cache.store, vector=vector)


def test_targets_of_several_vectors_are_refused_until_one_is_chosen(tmp_path, cache):
    images = write_cache(tmp_path / "images", np.ones((ROWS, 2), np.float16), 5)
    with pytest.raises(CacheError, match=r"one target for each image, found 4: all@1, last@0\.5, last@1, text@1"):
        paired_rows(images, cache)
    assert len(paired_rows(images, FeatureCache(cache.store, vector=1))) == ROWS - 1
