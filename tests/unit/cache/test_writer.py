"""Writing a cache: rows in, complete shards out, the index last."""

import multiprocessing
import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expclip_cache.base import CacheError, SilentReporter
from expclip_cache.cache import INDEX, MANIFEST, CacheWriter, FeatureCache, inspect_cache, verify_cache
from expclip_cache.datasets.manifest import Manifest, ManifestRow

WIDTH = 3


def features(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, WIDTH)).astype(np.float32)


def files_in(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 12), shard_rows=st.integers(1, 5), cuts=st.lists(st.integers(0, 12)))
def test_the_bytes_do_not_depend_on_how_the_rows_are_split_into_calls(tmp_path_factory, rows, shard_rows, cuts):
    base = tmp_path_factory.mktemp("caches")
    wanted = features(rows)
    how = {"manifest": "m", "shard_rows": shard_rows, "dtype": "float32"}
    with CacheWriter(base / "at-once", **how) as writer:
        writer.add(wanted)
    bounds = sorted({0, rows, *(cut for cut in cuts if cut < rows)})
    with CacheWriter(base / "in-pieces", **how) as writer:
        for start, stop in pairwise(bounds):
            writer.add(wanted[start:stop], paths=[str(row) for row in range(start, stop)])
    assert files_in(base / "at-once") == files_in(base / "in-pieces")
    cache = FeatureCache(base / "at-once")
    np.testing.assert_array_equal(cache[:], wanted)
    assert cache.shard_rows == shard_rows
    assert not verify_cache(base / "at-once", SilentReporter()).broken


def test_a_cache_is_incomplete_until_the_block_ends(tmp_path):
    with CacheWriter(tmp_path / "c", manifest="m", shard_rows=2) as writer:
        writer.add(features(5))
        assert sorted(files_in(tmp_path / "c")) == ["shard-00000.h5", "shard-00001.h5"]
        with pytest.raises(CacheError, match="not a complete feature cache"):
            FeatureCache(tmp_path / "c")
    assert len(FeatureCache(tmp_path / "c")) == 5


def test_an_exception_leaves_complete_shards_and_no_index(tmp_path):
    def add_and_fail():
        with CacheWriter(tmp_path / "c", manifest="m", shard_rows=2) as writer:
            writer.add(features(5))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    assert sorted(files_in(tmp_path / "c")) == ["shard-00000.h5", "shard-00001.h5"]
    with CacheWriter(tmp_path / "c", manifest="m") as writer, pytest.raises(CacheError, match="already holds a cache"):
        writer.add(features(1))


def test_a_writer_without_rows_writes_nothing(tmp_path):
    with CacheWriter(tmp_path / "c", manifest="m"):
        pass
    assert not files_in(tmp_path / "c")


def test_replace_removes_the_old_cache_completely(tmp_path):
    how = {"manifest": "m", "shard_rows": 2}
    with CacheWriter(tmp_path / "c", **how) as writer:
        writer.add(features(9))
    with CacheWriter(tmp_path / "c", **how, replace=True) as writer:
        writer.add(features(3))
    assert sorted(files_in(tmp_path / "c")) == [INDEX, "shard-00000.h5", "shard-00001.h5"]
    assert len(FeatureCache(tmp_path / "c")) == 3


@pytest.mark.slow
def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path):
    context = multiprocessing.get_context("spawn")
    with CacheWriter(tmp_path / "c", manifest="m"):
        process = context.Process(target=enter_writer, args=(str(tmp_path / "c"),))
        process.start()
        process.join()
        assert process.exitcode == 3
    process = context.Process(target=enter_writer, args=(str(tmp_path / "c"),))
    process.start()
    process.join()
    assert process.exitcode == 0


def enter_writer(folder: str) -> None:
    try:
        with CacheWriter(folder, manifest="m"):
            pass
    except CacheError as error:
        os._exit(3 if "another extraction is writing here" in str(error) else 4)


def test_the_manifest_provides_labels_paths_and_the_number_of_rows(tmp_path):
    names = ["anger/1.jpg", "joy/2.jpg", "joy/3.jpg"]
    rows = tuple(ManifestRow(name, k % 2, (name,), 1, "0" * 32) for k, name in enumerate(names))
    manifest = Manifest("mine", ("anger", "joy"), rows)
    with CacheWriter(tmp_path / "c", manifest=manifest, shard_rows=2) as writer:
        writer.add(features(3), errors=["", "is truncated", ""])
    cache = FeatureCache(tmp_path / "c")
    assert (cache.paths(), cache.labels.tolist(), cache.classes) == (names, [0, 1, 0], ("anger", "joy"))
    assert cache.skipped == {1: "is truncated"}
    assert cache.identity.settings["manifest"] == manifest.sha256
    assert (tmp_path / "c" / MANIFEST).is_file()
    assert not verify_cache(tmp_path / "c", SilentReporter()).broken
    with (
        pytest.raises(CacheError, match="2 rows were added, the manifest has 3"),
        CacheWriter(tmp_path / "few", manifest=manifest) as writer,
    ):
        writer.add(features(2))
    with (
        pytest.raises(CacheError, match="4 rows were added, the manifest has 3"),
        CacheWriter(tmp_path / "many", manifest=manifest) as writer,
    ):
        writer.add(features(4))
    assert not (tmp_path / "few" / INDEX).exists()


def test_settings_encoder_and_library_are_recorded(tmp_path):
    with CacheWriter(
        tmp_path / "c", manifest="m", settings={"model": "mine"}, encoder={"logit_scale": 50.0}, library="mine 1.0"
    ) as writer:
        writer.add(features(2))
    cache = FeatureCache(tmp_path / "c")
    assert dict(cache.identity.settings) == {"model": "mine", "dtype": "float16", "manifest": "m"}
    assert dict(cache.identity.encoder) == {"logit_scale": 50.0, "width": WIDTH}
    assert cache.libraries == ("mine 1.0",)
    assert inspect_cache(tmp_path / "c")["complete"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((1, WIDTH), np.nan), "must have either finite features or an error"),
        (np.full((1, WIDTH), 1e9), "must have either finite features or an error"),
        (np.zeros(WIDTH), "expected features"),
        (np.zeros((1, WIDTH + 1)), r"expected features \(m, 3\), found \(1, 4\)"),
    ],
)
def test_rows_that_cannot_be_stored_are_refused(tmp_path, values, message):
    def add():
        with CacheWriter(tmp_path / "c", manifest="m") as writer:
            writer.add(features(1))
            writer.add(values)

    with pytest.raises(CacheError, match=message):
        add()
    assert INDEX not in files_in(tmp_path / "c")


def test_columns_of_different_lengths_are_refused(tmp_path):
    with (
        CacheWriter(tmp_path / "c", manifest="m") as writer,
        pytest.raises(CacheError, match="found 3 labels, 1 paths"),
    ):
        writer.add(features(3), paths=["one"])
    with pytest.raises(CacheError, match="expected features of type float16 or float32, found 'float64'"):
        CacheWriter(tmp_path / "c", manifest="m", dtype="float64")
