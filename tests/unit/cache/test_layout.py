"""Rows of several vectors: what a cache says of them, and the one vector that heads are fitted on."""

import numpy as np
import pytest

from caches import IDENTITY, edit_index, make_cache
from expclip_cache.base.errors import CacheError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import Identity
from expclip_cache.cache.layout import RowLayout, layout_of
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.verify import verify_cache
from expclip_cache.cache.writer import CacheWriter


def identity(settings: dict, encoder: dict) -> Identity:
    return Identity({**IDENTITY.settings, **settings}, {**IDENTITY.encoder, **encoder})


def test_an_ordinary_cache_has_rows_of_one_vector():
    assert layout_of(IDENTITY) == RowLayout(1, 1, 4, "best-vector")


def test_a_cache_of_frames_with_several_vectors_says_so(tmp_path):
    rows = np.random.default_rng(1).normal(size=(5, 3 * 2 * 4)).astype(np.float32)
    with CacheWriter(
        tmp_path,
        manifest="m",
        settings={"frames": 3},
        encoder={"width": 4, "vectors": 2},
        dtype="float32",
        shard_rows=2,
    ) as writer:
        writer.add(rows)
    cache = FeatureCache(tmp_path)
    assert cache.layout == RowLayout(3, 2, 4, "best-vector")
    assert cache.width == 24
    assert not verify_cache(tmp_path, SilentReporter()).broken
    np.testing.assert_array_equal(cache[:], rows)
    np.testing.assert_allclose(cache.item_vectors(slice(None)), rows.reshape(5, 6, 4).mean(axis=1), atol=1e-6)
    assert cache.item_vectors(3).shape == (1, 4)


def test_texts_of_a_model_with_several_vectors_an_image_are_one_vector_each():
    found = layout_of(identity({"encoder": "clip-text"}, {"vectors": 32}))
    assert found == RowLayout(1, 1, 4, "best-vector")


def test_where_the_text_is_conditioned_an_item_has_its_first_vector():
    layout = layout_of(identity({}, {"vectors": 3, "comparison": "conditioned-text"}))
    rows = np.arange(24.0).reshape(2, 12)
    np.testing.assert_array_equal(layout.item_vectors(rows), rows[:, :4])


@pytest.mark.parametrize(
    ("settings", "encoder"),
    [
        ({"frames": 0}, {}),
        ({"frames": "3"}, {}),
        ({"frames": True}, {}),
        ({}, {"vectors": -1}),
        ({}, {"vectors": 1 << 23}),
        ({}, {"width": 0}),
        ({}, {"width": 1.5}),
        ({}, {"comparison": "magic"}),
    ],
)
def test_an_index_that_describes_no_layout_is_refused(tmp_path, settings, encoder):
    forged = identity(settings, encoder)
    make_cache(tmp_path)
    edit_index(tmp_path, {"settings": forged.settings, "encoder": forged.encoder, "fingerprint": forged.fingerprint})
    with pytest.raises(CacheError, match=r"contradicts itself .*(rows of .* frames|unknown comparison)"):
        FeatureCache(tmp_path)


def test_features_of_another_width_than_the_layouts_are_refused(tmp_path):
    with (
        pytest.raises(CacheError, match=r"expected features \(m, 12\), found \(2, 4\)"),
        CacheWriter(tmp_path, manifest="m", settings={"frames": 3}, encoder={"width": 4}) as writer,
    ):
        writer.add(np.zeros((2, 4)))
