import numpy as np

from caches import make_cache
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.heads.cached_rows import CachedRows


def test_the_rows_of_several_caches_are_stacked(tmp_path):
    first, second = FeatureCache(make_cache(tmp_path / "1")), FeatureCache(make_cache(tmp_path / "2", shard_rows=3))
    view = CachedRows([first, second], np.array([8, 2, 5]))
    assert view.shape == (6, 4)
    expected = np.concatenate([first[np.array([8, 2, 5])], second[np.array([8, 2, 5])]])
    np.testing.assert_array_equal(view[np.arange(6)], expected)
    np.testing.assert_array_equal(view[np.array([4, 0, 4])], expected[[4, 0, 4]])
