"""The cache format: bytes, round trip, and refusal of everything that is not one of our caches."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CacheError
from pipeline.shards.reader import FeatureCache, open_shard, paired_rows
from pipeline.shards.schema import INDEX, Block, Identity, canonical_json, differences, plan_shards, shard_name
from pipeline.shards.writer import file_digest, index_bytes, write_index, write_shard

IDENTITY = Identity({"model": "tiny", "dtype": "float16", "manifest": "m1"}, {"width": 4, "weights_sha256": "w"})


def make_block(number: int, rows: range, bad: tuple[int, ...] = ()) -> Block:
    features = np.array([[row + k / 8 for k in range(4)] for row in rows], dtype=np.float16)
    for row in bad:
        features[row - rows.start] = np.nan
    return Block(
        number,
        rows.start,
        features,
        np.array([row % 3 for row in rows], dtype=np.int32),
        tuple(f"é/{row}.jpg".encode() for row in rows),
        tuple(b"truncated" if row in bad else b"" for row in rows),
    )


def make_cache(folder: Path, rows: int = 10, shard_rows: int = 4, bad: tuple[int, ...] = (), identity=IDENTITY) -> Path:
    folder.mkdir(exist_ok=True)
    records = []
    for number, part in enumerate(plan_shards(rows, shard_rows)):
        path = write_shard(folder, make_block(number, part, tuple(r for r in bad if r in part)), identity, "test 1.0")
        size = path.stat().st_size
        records.append({"name": path.name, "first_row": part.start, "rows": len(part), "bytes": size})
        records[-1]["xxh3_128"] = file_digest(path)
    skipped = [{"row": row, "path": f"é/{row}.jpg", "reason": "truncated"} for row in bad]
    write_index(
        folder,
        identity,
        records,
        skipped,
        rows=rows,
        shard_rows=shard_rows,
        classes=["a", "b", "c"],
        libraries=["test 1.0"],
    )
    return folder


@given(rows=st.integers(0, 500), shard_rows=st.integers(1, 60))
def test_a_plan_holds_every_row_exactly_once(rows, shard_rows):
    plan = plan_shards(rows, shard_rows)
    assert [row for part in plan for row in part] == list(range(rows))
    assert all(len(part) == shard_rows for part in plan[:-1])
    assert all(0 < len(part) <= shard_rows for part in plan)


def test_round_trip(tmp_path):
    cache = FeatureCache(make_cache(tmp_path / "c", bad=(5,)))
    assert (cache.rows, cache.width, cache.dtype, cache.classes) == (10, 4, np.float16, ("a", "b", "c"))
    assert cache.skipped == {5: "truncated"}
    assert cache.good_rows.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    rows = np.array([9, 0, 4, 4])
    assert cache.features(rows)[:, 0].tolist() == [9, 0, 4, 4]
    assert cache.labels(rows).tolist() == [0, 0, 1, 1]
    assert cache.paths(rows) == ["é/9.jpg".encode(), "é/0.jpg".encode(), "é/4.jpg".encode(), "é/4.jpg".encode()]


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


def test_a_skipped_or_absent_row_is_refused_by_name(tmp_path):
    cache = FeatureCache(make_cache(tmp_path / "c", bad=(5,)))
    with pytest.raises(CacheError, match="row 5 has no features: truncated"):
        cache.features(np.array([4, 5]))
    with pytest.raises(CacheError, match="rows 0 to 9 exist, asked for 3 to 10"):
        cache.features(np.array([3, 10]))


def test_nothing_is_left_behind_but_the_cache(tmp_path):
    names = sorted(path.name for path in make_cache(tmp_path / "c").iterdir())
    assert names == [INDEX, shard_name(0), shard_name(1), shard_name(2)]


@pytest.mark.parametrize("victim", [shard_name(1), INDEX])
def test_any_flipped_bit_is_refused(tmp_path, victim):
    folder = make_cache(tmp_path / "c")
    whole = (folder / victim).read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole) * 8, 200):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << (place % 8)
        (folder / victim).write_bytes(damaged)
        with pytest.raises(CacheError):
            FeatureCache(folder).features(np.arange(10))
    (folder / victim).write_bytes(whole)
    assert len(FeatureCache(folder).features(np.arange(10))) == 10


def test_a_flipped_bit_in_the_content_is_seen_without_an_index(tmp_path):
    path = make_cache(tmp_path / "c") / shard_name(0)
    open_shard(path).check_content(path)
    with h5py.File(path, "r+") as file:
        file["features"][2, 1] = 77
    with pytest.raises(CacheError, match="does not match its checksum"):
        open_shard(path).check_content(path)


def test_a_missing_shard_is_named(tmp_path):
    folder = make_cache(tmp_path / "c")
    (folder / shard_name(2)).unlink()
    with pytest.raises(CacheError, match=r"shard-00002\.h5: the shard is missing"):
        FeatureCache(folder).features(np.array([9]))


def test_no_index_means_incomplete(tmp_path):
    folder = make_cache(tmp_path / "c")
    (folder / INDEX).unlink()
    with pytest.raises(CacheError, match="no complete feature cache"):
        FeatureCache(folder)


def test_a_shard_of_another_cache_is_refused(tmp_path):
    ours = make_cache(tmp_path / "1")
    other = Identity({**IDENTITY.settings, "model": "huge"}, IDENTITY.encoder)
    theirs = make_cache(tmp_path / "2", identity=other)
    (ours / shard_name(0)).write_bytes((theirs / shard_name(0)).read_bytes())
    body = json.loads((ours / INDEX).read_bytes())
    del body["xxh3_128"]
    body["shards"][0]["xxh3_128"] = file_digest(ours / shard_name(0))
    body["shards"][0]["bytes"] = (ours / shard_name(0)).stat().st_size
    (ours / INDEX).write_bytes(index_bytes(body))
    with pytest.raises(CacheError, match="belongs to another cache"):
        FeatureCache(ours).features(np.array([0]))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 10**15},
        {"shard_rows": 0},
        {"shards": []},
        {"fingerprint": "0" * 64},
        {"skipped": [{"row": 99, "reason": "?"}]},
        {"settings": []},
        {"version": 2},
    ],
)
def test_an_index_that_contradicts_itself_is_refused_though_its_checksum_holds(tmp_path, change):
    folder = make_cache(tmp_path / "c")
    body = json.loads((folder / INDEX).read_bytes())
    del body["xxh3_128"]
    (folder / INDEX).write_bytes(index_bytes(body | change))
    with pytest.raises(CacheError):
        FeatureCache(folder)


def rewrite(path: Path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def replace_dataset(name, **options):
    def change(file):
        del file[name]
        file.create_dataset(name, **options)

    return change


def link(name, target):
    def change(file):
        del file[name]
        file[name] = target

    return change


HOSTILE = {
    "external link": link("features", h5py.ExternalLink("/etc/passwd", "/")),
    "soft link loop": link("features", h5py.SoftLink("/features")),
    "group": lambda file: (file.pop("features"), file.create_group("features")),
    "external storage": replace_dataset("features", shape=(4, 4), dtype="f2", external=[("/etc/hostname", 0, 32)]),
    "huge declared shape": replace_dataset("features", shape=(1 << 40, 4), dtype="f2"),
    "compressed": replace_dataset("features", shape=(4, 4), dtype="f2", chunks=(4, 4), compression="gzip"),
    "wrong type": replace_dataset("features", shape=(4, 4), dtype="f8"),
    "compound type": replace_dataset("label", shape=(4,), dtype=[("a", "i4"), ("b", "i4")]),
    "object references": replace_dataset("path", shape=(4,), dtype=h5py.ref_dtype),
    "variable-length strings": replace_dataset("path", shape=(4,), dtype=h5py.string_dtype()),
    "wrong rank": replace_dataset("features", shape=(4,), dtype="f2"),
    "differing lengths": replace_dataset("label", data=np.zeros(3, dtype=np.int32)),
    "extra dataset": lambda file: file.create_dataset("more", data=[1]),
    "missing dataset": lambda file: file.pop("error"),
    "missing attribute": lambda file: file.attrs.pop("settings"),
    "settings no JSON": lambda file: file.attrs.modify("settings", "{"),
    "other fingerprint": lambda file: file.attrs.modify("fingerprint", "0"),
    "other version": lambda file: file.attrs.modify("version", 2),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_shards_are_refused(tmp_path, kind):
    path = make_cache(tmp_path / "c") / shard_name(0)
    rewrite(path, HOSTILE[kind])
    with pytest.raises(CacheError):
        open_shard(path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"no hdf5 at all" * 100])
def test_files_that_are_no_hdf5_are_refused(tmp_path, content):
    path = tmp_path / shard_name(0)
    path.write_bytes(content)
    with pytest.raises(CacheError, match="cannot be read as a shard"):
        open_shard(path)


def test_a_link_to_a_shard_is_refused(tmp_path):
    path = make_cache(tmp_path / "c") / shard_name(0)
    (tmp_path / "alias.h5").symlink_to(path)
    with pytest.raises(CacheError, match="not a plain file"):
        open_shard(tmp_path / "alias.h5")


def test_pairing_is_by_row_and_only_within_one_manifest(tmp_path):
    images = FeatureCache(make_cache(tmp_path / "i", bad=(2,)))
    targets = FeatureCache(make_cache(tmp_path / "t", shard_rows=3, bad=(7,)))
    assert paired_rows(images, targets).tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    other = Identity({**IDENTITY.settings, "manifest": "m2"}, IDENTITY.encoder)
    with pytest.raises(CacheError, match="different manifests"):
        paired_rows(images, FeatureCache(make_cache(tmp_path / "o", identity=other)))


def test_differences_are_named():
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a differs: cached 1, asked '(not set)'",
        "b differs: cached 2, asked 3",
        "c differs: cached '(not set)', asked 4",
    ]


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_canonical_json_is_ascii_and_independent_of_order(value):
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(backwards)
    assert json.loads(canonical_json(value).decode("ascii")) == value
