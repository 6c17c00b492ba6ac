"""Reading a cache like an array, with labels and paths, and converting it to torch and pandas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache
from tiny_caches import write_cache

ROWS, WIDTH = 11, 3
FEATURES = np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)
LABELS = np.array([0, 1, -1, 1, 0, 0, 1, 1, 0, -1, 1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> FeatureCache:
    folder = tmp_path_factory.mktemp("caches") / "c"
    return write_cache(folder, FEATURES, 4, labels=LABELS, classes=("happiness", "anger"), logit_scale=100.0)


@pytest.fixture(scope="module")
def cache_with_gaps(tmp_path_factory) -> FeatureCache:
    return write_cache(tmp_path_factory.mktemp("caches") / "with-gaps", FEATURES.astype(np.float16), 4, bad=(2, 9))


def test_length_shards_and_width(cache):
    assert len(cache) == ROWS
    assert cache.shards == (range(4), range(4, 8), range(8, 11))
    assert (cache.shard_rows, cache.width, cache.dtype) == (4, WIDTH, np.float32)


@settings(deadline=None)
@given(
    start=st.none() | st.integers(-15, 15),
    stop=st.none() | st.integers(-15, 15),
    step=st.sampled_from([None, 1, 3, -1, -2]),
)
def test_slices_select_rows_as_in_numpy(cache, start, stop, step):
    rows = slice(start, stop, step)
    np.testing.assert_array_equal(cache[rows], FEATURES[rows])


@settings(deadline=None)
@given(ids=st.lists(st.integers(-ROWS, ROWS - 1)))
def test_ids_select_rows_as_in_numpy(cache, ids):
    np.testing.assert_array_equal(cache[ids], FEATURES[np.array(ids, dtype=np.int64)])


@settings(deadline=None)
@given(mask=st.lists(st.booleans(), min_size=ROWS, max_size=ROWS))
def test_masks_select_rows_as_in_numpy(cache, mask):
    np.testing.assert_array_equal(cache[mask], FEATURES[mask])
    np.testing.assert_array_equal(cache[np.array(mask)], FEATURES[mask])


@settings(deadline=None)
@given(row=st.integers(-ROWS, ROWS - 1))
def test_a_single_id_gives_a_vector(cache, row):
    np.testing.assert_array_equal(cache[row], FEATURES[row])
    np.testing.assert_array_equal(cache[np.int32(row)], FEATURES[row])


@pytest.mark.parametrize("rows", [ROWS, -ROWS - 1, [0, ROWS], [0.5], [[1, 2]], [True, False], "1"])
def test_an_invalid_row_is_an_index_error(cache, rows):
    with pytest.raises(IndexError):
        cache[rows]


def test_labels_and_paths_are_the_ones_written(cache):
    assert cache.labels.dtype == np.int32
    assert cache.labels.tolist() == LABELS.tolist()
    with pytest.raises(ValueError, match="read-only"):
        cache.labels[0] = 1
    assert cache.paths() == [f"{row}.png" for row in range(ROWS)]
    assert cache.paths(-1) == ["10.png"]
    assert cache.paths([3, 1]) == ["3.png", "1.png"]


def test_a_skipped_row_has_a_label_and_a_path_but_no_features(cache_with_gaps):
    assert cache_with_gaps.skipped == {2: "truncated", 9: "truncated"}
    assert cache_with_gaps.skipped_rows.tolist() == [2, 9]
    assert cache_with_gaps.paths([2]) == ["2.png"]
    assert cache_with_gaps.labels[2] == -1
    with pytest.raises(CacheError, match="row 9 has no features: truncated"):
        cache_with_gaps[9]
    np.testing.assert_array_equal(
        cache_with_gaps[cache_with_gaps.good_rows], FEATURES[cache_with_gaps.good_rows].astype(np.float16)
    )


def test_to_torch_gives_the_good_rows(cache, cache_with_gaps):
    assert torch.equal(cache.to_torch(), torch.from_numpy(FEATURES))
    assert torch.equal(cache.to_torch([3]), torch.from_numpy(FEATURES[[3]]))
    assert cache_with_gaps.to_torch().shape == (ROWS - 2, WIDTH)
    assert cache_with_gaps.to_torch().dtype == torch.float16


def test_to_pandas_gives_every_row(cache, cache_with_gaps):
    frame = cache.to_pandas()
    assert frame.index.tolist() == list(range(ROWS))
    assert frame.columns.tolist() == ["path", "label", "skipped", "f0", "f1", "f2"]
    assert frame.label.tolist()[:4] == ["happiness", "anger", None, "anger"]
    np.testing.assert_array_equal(frame[["f0", "f1", "f2"]].to_numpy(), FEATURES)
    assert cache_with_gaps.to_pandas().skipped.dropna().to_dict() == {2: "truncated", 9: "truncated"}
    assert cache_with_gaps.to_pandas().loc[9, ["f0", "f1", "f2"]].isna().all()


def test_only_the_features_of_a_clip_have_a_logit_scale(cache, cache_with_gaps):
    assert cache.logit_scale == 100.0
    with pytest.raises(CacheError, match="expected the features of a CLIP"):
        _ = cache_with_gaps.logit_scale


def test_the_description_contains_the_identity_and_the_skipped_rows(cache_with_gaps):
    found = cache_with_gaps.describe()
    assert found["fingerprint"] == cache_with_gaps.identity.fingerprint
    assert found["skipped"] == [{"row": row, "path": f"{row}.png", "reason": "truncated"} for row in (2, 9)]
    assert (found["rows"], found["settings"]["dtype"]) == (ROWS, "float16")
