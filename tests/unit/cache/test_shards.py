"""The cache format: bytes, round trip, rows by id, paired rows, and refusal of files that contradict each other."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caches import IDENTITY, LIBRARY, edit_index, make_block, make_cache
from expclip_cache.base.errors import CacheError
from expclip_cache.cache import reader
from expclip_cache.cache.format import INDEX, Identity, canonical_json, differences, shard_name
from expclip_cache.cache.header import SEALED_FROM, digest_of
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import open_shard
from expclip_cache.cache.shard_writer import write_shard
from tiny_caches import write_cache


def test_round_trip(tmp_path):
    cache = FeatureCache(make_cache(tmp_path / "c", bad=(5,)))
    assert (len(cache), cache.width, cache.dtype, cache.classes) == (10, 4, np.float16, ("a", "b", "c"))
    assert cache.skipped == {5: "truncated"}
    assert cache.good_rows.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    rows = np.array([9, 0, 4, 4])
    assert cache[rows][:, 0].tolist() == [9, 0, 4, 4]
    assert cache.labels[rows].tolist() == [0, 0, 1, 1]
    assert cache.paths(rows) == ["é/9.jpg", "é/0.jpg", "é/4.jpg", "é/4.jpg"]


def test_the_same_content_gives_the_same_bytes(tmp_path):
    first, second = make_cache(tmp_path / "1"), make_cache(tmp_path / "2")
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_plain_h5py_reads_a_shard(tmp_path):
    make_cache(tmp_path / "c", bad=(1,))
    with h5py.File(tmp_path / "c" / shard_name(0)) as file:
        assert file["features"].shape == (4, 4)
        assert np.isnan(file["features"][1]).all()
        assert file["path"][0].decode() == "é/0.jpg"
        assert file["error"][:].tolist() == [b"", b"truncated", b"", b""]
        assert json.loads(file.attrs["settings"])["model"] == "tiny"
        assert not file.attrs["l2_normalized"]
        for name in file:
            assert file[name].id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
            assert file[name].id.get_offset() % 64 == 0


def test_the_header_and_hdf5_agree_on_every_value(tmp_path):
    shard = open_shard(make_cache(tmp_path / "c", bad=(1,)) / shard_name(1))
    with h5py.File(shard.path) as file:
        assert file.userblock_size == 4096
        columns = {"features": shard.features, "label": shard.labels, "path": shard.paths, "error": shard.errors}
        for name, values in columns.items():
            np.testing.assert_array_equal(file[name][:], values)
        assert file["row"][:].tolist() == list(shard.rows) == [4, 5, 6, 7]
        assert json.loads(file.attrs["settings"]) == dict(shard.identity.settings)
        assert json.loads(file.attrs["encoder"]) == dict(shard.identity.encoder)
        assert file.attrs["fingerprint"] == shard.identity.fingerprint
        assert (file.attrs["shard"], file.attrs["first_row"], file.attrs["library"]) == (1, 4, LIBRARY)


def test_the_first_line_holds_a_checksum_that_other_tools_can_check(tmp_path):
    raw = (make_cache(tmp_path / "c") / shard_name(0)).read_bytes()
    line, _, rest = raw.partition(b"\n")
    assert line.decode() == f"expclip-cache shard 1 xxh3_128 {digest_of(rest)}"
    assert len(line) + 1 == SEALED_FROM


def test_long_settings_get_a_longer_header(tmp_path):
    long = Identity({**IDENTITY.settings, "instruction": "describe " * 1000}, IDENTITY.encoder)
    folder = make_cache(tmp_path / "c", identity=long)
    assert FeatureCache(folder)[np.array([9])][0, 0] == 9
    with h5py.File(folder / shard_name(0)) as file:
        assert file.userblock_size == 16384
        assert file["features"][3, 0] == 3
    too_long = Identity({**IDENTITY.settings, "instruction": "describe " * 1_000_000}, IDENTITY.encoder)
    with pytest.raises(CacheError, match="more than a shard's header can hold"):
        make_cache(tmp_path / "d", identity=too_long)


def test_a_row_has_either_features_or_an_error(tmp_path):
    block = make_block(0, range(4), bad=(2,))
    for errors in ((b"",) * 4, (b"", b"x", b"x", b"")):
        with pytest.raises(CacheError, match="must have either finite features or an error"):
            write_shard(tmp_path, replace(block, errors=errors), IDENTITY, LIBRARY)
    assert not list(tmp_path.iterdir())


def test_few_shards_stay_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_MAPPED", 2)
    cache = FeatureCache(make_cache(tmp_path / "c", rows=40))
    assert cache[np.arange(20)][:, 0].tolist() == list(range(20))
    assert cache[np.arange(40)[::-1]][:, 0].tolist() == list(range(40))[::-1]
    assert len(cache._mapped) == 2


@pytest.mark.parametrize("width", [1, 4096])
def test_a_process_verifies_a_file_once_and_again_when_it_has_changed(tmp_path, monkeypatch, width):
    features = np.arange(12 * width, dtype=np.float32).reshape(12, width)
    folder = tmp_path / "c"
    write_cache(folder, features, 5)
    np.testing.assert_array_equal(FeatureCache(folder)[:7], features[:7])
    with monkeypatch.context() as patch:
        # Whoever hashes now fails.
        patch.setattr("expclip_cache.cache.shard.xxhash", None)
        for rows in (slice(10), [9, 0], [3]):
            np.testing.assert_array_equal(FeatureCache(folder)[rows], features[rows])
        with pytest.raises(AttributeError, match="xxh3_128"):
            FeatureCache(folder)[11]
    path = folder / shard_name(0)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    for rows in (slice(5), [3]):
        with pytest.raises(CacheError, match="does not match its checksum"):
            FeatureCache(folder)[rows]


@pytest.mark.parametrize("width", [1, 4096])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_shard_has_the_same_content_whether_it_is_read_or_mapped(tmp_path, width, dtype):
    """Features are read into the caller's array only where they are most of the file."""
    features = np.random.default_rng(0).standard_normal((12, width)).astype(dtype)
    write_cache(tmp_path / "c", features, 5, bad=(7,))
    good = np.array([*range(7), *range(8, 12)])
    first, second = (FeatureCache(tmp_path / "c") for _ in range(2))
    for _ in range(2):
        np.testing.assert_array_equal(first[good], features[good])
        np.testing.assert_array_equal(second[good[::-1]], features[good[::-1]])
    shard = open_shard(tmp_path / "c" / shard_name(1), into := np.empty((5, width), dtype))
    mapped = open_shard(tmp_path / "c" / shard_name(1))
    assert (shard.features is into) == (width == 4096)
    assert (shard.entry(), shard.labels.tolist()) == (mapped.entry(), mapped.labels.tolist())
    np.testing.assert_array_equal(shard.features, mapped.features)


def test_a_shard_of_another_shape_is_refused_by_name(tmp_path):
    for name, width in ("c", 4096), ("other", 8):
        write_cache(tmp_path / name, np.ones((8, width), dtype=np.float16), 4)
    (tmp_path / "c" / shard_name(1)).write_bytes((tmp_path / "other" / shard_name(1)).read_bytes())
    with pytest.raises(CacheError, match=r"shard-00001\.h5: is intact, but not the shard that .* recorded"):
        FeatureCache(tmp_path / "c")[np.arange(8)]


@pytest.mark.slow
@settings(deadline=None)
@given(data=st.data())
def test_rows_can_be_read_in_any_order_from_any_number_of_shards(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "any-order"
    if not folder.exists():
        make_cache(folder, rows=40, bad=(5,))
    cache = FeatureCache(folder)
    for _ in range(2):
        wanted = data.draw(st.lists(st.integers(0, 39).filter(lambda row: row != 5)))
        wanted = sorted(wanted) if data.draw(st.booleans()) else wanted
        rows = np.array(wanted, dtype=np.int64)
        assert cache[rows][:, 0].tolist() == rows.tolist()
        assert cache.labels[rows].tolist() == (rows % 3).tolist()
        assert cache.paths(rows) == [f"é/{row}.jpg" for row in rows]


@pytest.mark.parametrize("place", [70, 4100, 5000, -1])
def test_damage_is_found_before_rows_of_whole_shards_are_returned(tmp_path, place):
    folder = make_cache(tmp_path / "c", rows=40)
    intact = FeatureCache(folder)[np.arange(40)]
    assert intact.tobytes() == make_block(0, range(40)).features.tobytes()
    path = folder / shard_name(3)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    for rows in (np.arange(40), np.arange(12, 16), np.arange(13, 15), np.arange(39, -1, -1)):
        with pytest.raises(CacheError, match=r"shard-00003\.h5: the content does not match its checksum"):
            FeatureCache(folder)[rows]


@pytest.mark.slow
def test_several_threads_can_share_a_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_MAPPED", 3)
    cache = FeatureCache(make_cache(tmp_path / "c", rows=400))
    orders = [np.random.default_rng(seed).permutation(400) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for rows, found in zip(orders, threads.map(cache.__getitem__, orders), strict=True):
            assert found[:, 0].tolist() == rows.tolist()


def test_a_shard_that_changed_after_it_was_verified_is_verified_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_MAPPED", 1)
    folder = make_cache(tmp_path / "c")
    cache = FeatureCache(folder)
    cache[np.arange(10)]
    cache[np.array([9])]
    raw = bytearray((folder / shard_name(0)).read_bytes())
    raw[-1] ^= 1
    (folder / shard_name(0)).write_bytes(raw)
    with pytest.raises(CacheError, match="does not match its checksum"):
        cache[np.array([0])]


def test_a_skipped_or_missing_row_is_refused_by_name(tmp_path):
    cache = FeatureCache(make_cache(tmp_path / "c", bad=(5,)))
    with pytest.raises(CacheError, match="row 5 has no features: truncated"):
        cache[np.array([4, 5])]
    with pytest.raises(IndexError, match="has rows 0 to 9, requested 3 to 10"):
        cache[np.array([3, 10])]


def test_only_the_cache_and_its_lock_are_left(tmp_path):
    names = sorted(path.name for path in make_cache(tmp_path / "c").iterdir())
    assert names == [".lock", INDEX, shard_name(0), shard_name(1), shard_name(2)]


def test_a_missing_shard_is_named(tmp_path):
    folder = make_cache(tmp_path / "c")
    (folder / shard_name(2)).unlink()
    with pytest.raises(CacheError, match=r"shard-00002\.h5: the shard is missing"):
        FeatureCache(folder)[np.array([9])]


def test_a_cache_without_an_index_is_incomplete(tmp_path):
    folder = make_cache(tmp_path / "c")
    (folder / INDEX).unlink()
    with pytest.raises(CacheError, match="is not a complete feature cache"):
        FeatureCache(folder)


def test_a_shard_of_another_cache_is_refused(tmp_path):
    cache = make_cache(tmp_path / "1")
    other = make_cache(tmp_path / "2", identity=Identity({**IDENTITY.settings, "model": "huge"}, IDENTITY.encoder))
    (cache / shard_name(0)).write_bytes((other / shard_name(0)).read_bytes())
    with pytest.raises(CacheError, match=r"not the shard that .*index\.json recorded"):
        FeatureCache(cache)[np.array([0])]


def test_an_index_that_omits_a_skipped_row_is_refused_when_the_shard_is_opened(tmp_path):
    folder = make_cache(tmp_path / "c", bad=(5,))
    edit_index(folder, {"skipped": []})
    cache = FeatureCache(folder)
    assert cache[np.arange(4)].shape == (4, 4)
    with pytest.raises(CacheError, match=r"not the shard that .*index\.json recorded"):
        cache[np.array([5])]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 10**15},
        {"rows": 10.0},
        {"rows": -1},
        {"shard_rows": 0},
        {"shards": []},
        {"shards": [{}] * 3},
        {"shards": 7},
        {"fingerprint": "0" * 64},
        {"skipped": [{"row": 99, "path": "a", "reason": "?"}]},
        {"skipped": [{"row": 1, "path": "a", "reason": "?"}] * 2},
        {"skipped": [{"row": 1, "path": "a", "reason": None}]},
        {"settings": []},
        {"encoder": {}},
        {"classes": [1]},
        {"libraries": None},
        {"version": 2},
        {"format": "zip"},
    ],
)
def test_an_index_that_contradicts_itself_is_refused_despite_a_valid_checksum(tmp_path, change):
    folder = make_cache(tmp_path / "c")
    edit_index(folder, change)
    with pytest.raises(CacheError):
        FeatureCache(folder)


@pytest.mark.parametrize(("key", "value"), [("dtype", "float64"), ("manifest", 3), ("width", 0), ("width", "wide")])
def test_an_index_with_impossible_settings_is_refused_despite_a_valid_fingerprint(tmp_path, key, value):
    folder = make_cache(tmp_path / "c")
    settings, encoder = dict(IDENTITY.settings), dict(IDENTITY.encoder)
    (encoder if key == "width" else settings)[key] = value
    wrong = Identity(settings, encoder)
    edit_index(folder, {"settings": settings, "encoder": encoder, "fingerprint": wrong.fingerprint})
    with pytest.raises(CacheError, match="contradicts itself"):
        FeatureCache(folder)


def test_differences_are_named():
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a differs: cached 1, requested '(not set)'",
        "b differs: cached 2, requested 3",
        "c differs: cached '(not set)', requested 4",
    ]


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_canonical_json_is_ascii_and_independent_of_order(value):
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(backwards)
    assert json.loads(canonical_json(value).decode("ascii")) == value


def test_a_file_system_may_give_fewer_bytes_than_asked_for(tmp_path, monkeypatch):
    expected = FeatureCache(make_cache(tmp_path / "c"))[:].copy()
    original = os.preadv

    def few(descriptor, buffers, offset):
        return original(descriptor, [buffers[0][:100]], offset)

    monkeypatch.setattr("expclip_cache.cache.shard.os.preadv", few)
    shutil.copytree(tmp_path / "c", tmp_path / "copy")
    np.testing.assert_array_equal(FeatureCache(tmp_path / "copy")[:], expected)
