"""Moments against plain NumPy, and the same bits from any split into shards and processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import CacheError, DataError
from expclip_cache.heads.ridge.moments import BLOCK, Moments
from expclip_cache.heads.ridge.moments_cache import (
    missing_shards,
    moments_fingerprint,
    read_moments,
    sum_moments,
    write_moments,
)
from expclip_cache.heads.ridge.ridge_path import RidgePath
from tiny_caches import write_cache

ROOT = Path(__file__).parents[3]


def some(rows: int, d: int = 5, t: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(1, 3, size=(rows, d)).astype("f2"), random.normal(1, 3, size=(rows, t)).astype("f2")


def unit(Y: np.ndarray) -> np.ndarray:
    Y = Y.astype("f8")
    return Y / np.linalg.norm(Y, axis=1, keepdims=True)


def of_shards(X, Y, cuts, numbers) -> Moments:
    moments = Moments(X.shape[1], Y.shape[1])
    for number in numbers:
        part = slice(cuts[number], cuts[number + 1])
        moments.add_shard(number, X[part], Y[part])
    return moments


def bits(moments: Moments) -> tuple:
    sums = (moments.xx.coarse, moments.xx.fine, moments.xy.coarse, moments.xy.fine)
    return moments.rows, moments.shards, *(array.tobytes() for array in sums)


def test_against_plain_numpy():
    X, Y = some(2 * BLOCK + 400)
    moments = of_shards(X, Y, [0, 300, len(X)], [0, 1])
    x, y = X.astype("f8"), unit(Y)
    np.testing.assert_allclose(moments.xx.value(), x.T @ x, rtol=1e-13)
    np.testing.assert_allclose(moments.xy.value(), x.T @ y, rtol=1e-12)
    assert (moments.rows, moments.xx.terms) == (len(X), 4)


@given(data=st.data(), rows=st.integers(1, 60))
def test_shards_and_merges_in_any_order_give_the_same_bits(data, rows):
    X, Y = some(rows, seed=rows)
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, rows), max_size=6))), rows]
    numbers = data.draw(st.permutations(range(len(cuts) - 1)))
    ends = data.draw(st.lists(st.integers(0, len(numbers)), max_size=3).map(sorted))
    parts = [
        of_shards(X, Y, cuts, numbers[a:b]) for a, b in zip([0, *ends], [*ends, len(numbers)], strict=True) if a < b
    ]
    merged = Moments(5, 9)
    for part in data.draw(st.permutations(parts)):
        merged.merge(part)
    assert bits(merged) == bits(of_shards(X, Y, cuts, range(len(numbers))))
    whole = of_shards(X, Y, [0, rows], [0])
    for ours, theirs in ((merged.xx, whole.xx), (merged.xy, whole.xy)):
        scale = np.abs(theirs.value()).max()
        np.testing.assert_allclose(ours.value(), theirs.value(), rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_any_float_type(dtype):
    X, Y = some(50)
    moments = of_shards(X.astype(dtype), Y.astype(dtype), [0, 50], [0])
    np.testing.assert_allclose(moments.xy.value(), X.astype("f8").T @ unit(Y), rtol=1e-12)


def test_a_target_of_zeros_adds_nothing():
    X, Y = some(10)
    Y[3] = 0
    kept = np.delete(np.arange(10), 3)
    np.testing.assert_allclose(
        of_shards(X, Y, [0, 10], [0]).xy.value(), X[kept].astype("f8").T @ unit(Y[kept]), rtol=1e-12
    )


def test_a_shard_counts_once():
    X, Y = some(10)
    moments = of_shards(X, Y, [0, 5, 10], [0, 1])
    with pytest.raises(DataError, match="shard 1 is in these moments already"):
        moments.add_shard(1, X[5:], Y[5:])
    with pytest.raises(DataError, match="shard 0 is in these moments already"):
        moments.merge(of_shards(X, Y, [0, 5], [0]))


def test_other_widths_are_refused():
    X, Y = some(10)
    with pytest.raises(DataError, match=r"expected widths \(d, t\) \(5, 9\), found \(4, 9\)"):
        Moments(5, 9).merge(Moments(4, 9))
    with pytest.raises(DataError, match="shard 0: expected shapes"):
        Moments(5, 9).add_shard(0, X, Y[:9])


@pytest.fixture
def caches(tmp_path):
    X, Y = some(100)
    images = write_cache(tmp_path / "images", X, 16, bad=(3, 17), logit_scale=100.0)
    targets = write_cache(tmp_path / "targets", Y, 16, bad=(17, 90))
    return X, Y, images, targets


def test_a_pass_over_two_caches_leaves_out_what_is_unreadable_or_held_out(caches):
    X, Y, images, targets = caches
    moments = sum_moments(images, targets, 0.1, range(7))
    rows = [row for row in range(100) if row not in (3, 17, 90) and row % 10 != 9]
    assert moments.rows == len(rows)
    np.testing.assert_allclose(moments.xx.value(), X[rows].astype("f8").T @ X[rows].astype("f8"), rtol=1e-12)
    np.testing.assert_allclose(moments.xy.value(), X[rows].astype("f8").T @ unit(Y[rows]), rtol=1e-12)
    assert missing_shards(moments, images) == []
    assert missing_shards(sum_moments(images, targets, 0.1, [0, 2]), images) == [1, 3, 4, 5, 6]


def test_targets_may_be_cut_into_other_shards(caches, tmp_path):
    _, Y, images, targets = caches
    recut = write_cache(tmp_path / "recut", Y, 30, bad=(17, 90))
    assert bits(sum_moments(images, recut, 0.1, range(7))) == bits(sum_moments(images, targets, 0.1, range(7)))


HALF = """
import sys
from pathlib import Path
from expclip_cache.heads.ridge.moments_cache import moments_fingerprint, sum_moments, write_moments
from expclip_cache.cache.reader import FeatureCache
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
images, targets = FeatureCache(folder / "images"), FeatureCache(folder / "targets")
moments = sum_moments(images, targets, 0.1, reversed(range(first, last)))
write_moments(folder / f"{first}.safetensors", moments, moments_fingerprint(images, targets, 0.1))
"""


def test_two_processes_and_any_order_of_merging_give_the_same_bits_and_the_same_head(caches, tmp_path):
    _, _, images, targets = caches
    for first, last in ((0, 4), (4, 7)):
        subprocess.run([sys.executable, "-c", HALF, tmp_path, str(first), str(last)], check=True, cwd=ROOT)
    fingerprint = moments_fingerprint(images, targets, 0.1)
    found = []
    for order in ((0, 4), (4, 0)):
        merged = Moments(5, 9)
        for first in order:
            merged.merge(read_moments(tmp_path / f"{first}.safetensors", fingerprint))
        found.append(merged)
    whole = sum_moments(images, targets, 0.1, range(7))
    assert bits(found[0]) == bits(found[1]) == bits(whole)
    heads = {RidgePath(moments).head(0.1).tobytes() for moments in (*found, whole)}
    assert len(heads) == 1


def test_moments_on_disk(caches, tmp_path):
    _, _, images, targets = caches
    moments = sum_moments(images, targets, 0.1, [0, 2])
    path, again = tmp_path / "m/a.safetensors", tmp_path / "b.safetensors"
    write_moments(path, moments, "f1")
    write_moments(again, read_moments(path, "f1"), "f1")
    assert bits(read_moments(path, "f1")) == bits(moments)
    assert path.read_bytes() == again.read_bytes()
    with pytest.raises(CacheError, match="expected moments with the fingerprint f2, found f1"):
        read_moments(path, "f2")


def test_every_setting_changes_the_fingerprint(caches, tmp_path):
    X, _, images, targets = caches
    other = write_cache(tmp_path / "other", X, 20)
    recut = write_cache(tmp_path / "again/images", X, 25, bad=(3, 17), logit_scale=100.0)
    assert recut.identity == images.identity
    found = [
        moments_fingerprint(*settings)
        for settings in (
            (images, targets, 0.1),
            (images, targets, 0.0),
            (images, other, 0.1),
            (other, targets, 0.1),
            (recut, targets, 0.1),
        )
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("place", [10, 300, -5])
def test_a_damaged_file_is_refused(caches, tmp_path, place):
    _, _, images, targets = caches
    path = tmp_path / "m.safetensors"
    write_moments(path, sum_moments(images, targets, 0.1, [0]), "f1")
    content = bytearray(path.read_bytes())
    content[place] ^= 0x11
    path.write_bytes(content)
    with pytest.raises(CacheError, match=r"m\.safetensors"):
        read_moments(path, "f1")
    with pytest.raises(CacheError, match="cannot be read as moments"):
        read_moments(tmp_path / "none.safetensors", "f1")
