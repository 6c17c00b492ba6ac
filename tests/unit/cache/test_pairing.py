"""Rows are paired by id, if each is the same image in both caches."""

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base import CacheError
from expclip_cache.cache import CacheWriter, FeatureCache, PairedRows, paired_rows, pairing
from expclip_cache.datasets import Manifest, ManifestRow
from tiny_caches import write_cache


def manifest(*names: str, labels: tuple[int, ...] | None = None) -> Manifest:
    rows = tuple(
        ManifestRow(name, label, (name,), 1, name.encode().hex().ljust(32, "0"))
        for name, label in zip(names, labels or (-1,) * len(names), strict=True)
    )
    return Manifest("m", ("happiness", "anger") if labels else (), rows)


def cache_of(folder, manifest: Manifest, bad: int | None = None) -> FeatureCache:
    errors = ["truncated" if row == bad else "" for row in range(len(manifest.rows))]
    with CacheWriter(folder, manifest=manifest, settings={"model": "m"}) as writer:
        writer.add(np.ones((len(errors), 3), dtype=np.float32), errors=errors)
    return FeatureCache(folder)


def test_rows_of_one_manifest_are_paired_by_id(tmp_path):
    features = np.ones((10, 3), dtype=np.float16)
    images, targets = (
        write_cache(tmp_path / "i", features, 4, bad=(2,)),
        write_cache(tmp_path / "t", features, 3, bad=(7,)),
    )
    assert paired_rows(images, targets).tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    with pytest.raises(CacheError, match="expected features of the same images, found different manifests"):
        paired_rows(images, write_cache(tmp_path / "o", features, 4, manifest="m2"))


def test_the_same_images_with_and_without_labels_are_paired(tmp_path):
    images = cache_of(tmp_path / "i", manifest("a", "b", "c", labels=(0, 1, 0)), bad=1)
    assert paired_rows(images, cache_of(tmp_path / "t", manifest("a", "b", "c"))).tolist() == [0, 2]


@pytest.mark.parametrize(("ours", "theirs"), [("abc", "abcd"), ("abcd", "abc")])
def test_other_images_are_named_with_the_longer_list_to_take(tmp_path, ours, theirs):
    images, targets = cache_of(tmp_path / "i", manifest(*ours)), cache_of(tmp_path / "t", manifest(*theirs))
    full, short = (images, targets) if len(images) > len(targets) else (targets, images)
    with pytest.raises(CacheError) as error:
        paired_rows(images, targets)
    assert f"but only {full} has 'd'. Make {short} again from the images of {full}" in str(error.value)
    assert f"--manifest {full}/manifest.arrow --on-mismatch replace." in str(error.value)


def test_a_manifest_of_other_images_beside_the_shards_is_not_believed(tmp_path):
    images, targets = cache_of(tmp_path / "i", manifest("a", "b")), cache_of(tmp_path / "t", manifest("a", "c"))
    (tmp_path / "t/manifest.arrow").write_bytes((tmp_path / "i/manifest.arrow").read_bytes())
    with pytest.raises(CacheError, match="found different manifests"):
        paired_rows(images, targets)


BAD = ((0, 3, 17, 18, 39), (3, 9, 30))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """40 rows, some of them skipped in one cache, in the other or in both."""
    folder, features = tmp_path_factory.mktemp("pair"), np.ones((40, 3), dtype=np.float16)
    return write_cache(folder / "i", features, 7, bad=BAD[0]), write_cache(folder / "t", features, 11, bad=BAD[1])


ONLY = st.none() | st.lists(st.integers(0, 60), max_size=40)


@given(only=ONLY, ends=st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted))
def test_paired_rows_of_a_part_are_those_of_the_whole(pair, only, ends):
    expected = [row for row in range(40) if row not in BAD[0] + BAD[1] and (only is None or row in only)]
    whole = paired_rows(*pair, only=None if only is None else np.array(only))
    assert (whole.dtype, whole.tolist()) == (np.int64, expected)
    part = PairedRows(*pair, only=only).within(range(*ends))
    assert (part.dtype, part.tolist()) == (np.int64, [row for row in expected if ends[0] <= row < ends[1]])


@given(only=ONLY, block=st.integers(1, 50))
def test_the_hash_of_paired_rows_is_that_of_the_whole(pair, only, block):
    expected = xxhash.xxh3_128_hexdigest(paired_rows(*pair, only=only).tobytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairing, "BLOCK", block)
        assert PairedRows(*pair, only=only).xxh3_128() == expected


def test_rows_beyond_the_end_of_a_shorter_cache_are_not_paired(tmp_path):
    """Such caches can only be of the same name for the list of rows, which whoever writes them answers for."""
    short, long = (write_cache(tmp_path / str(n), np.ones((n, 3), dtype=np.float16), 4, bad=(n - 1,)) for n in (6, 9))
    for images, targets in ((short, long), (long, short)):
        assert paired_rows(images, targets).tolist() == [0, 1, 2, 3, 4]
        assert not PairedRows(images, targets).within(range(6, 9)).size
