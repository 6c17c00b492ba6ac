"""Sums and held-out batches that are worked out shard by shard are those of all row ids at once."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_moments import bits

from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache, pairing, reader
from expclip_cache.heads.ridge.held_out import HeldOutRows
from expclip_cache.heads.ridge.lambda_choice import even_batches, is_held_out
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.shard_groups import GROUP_SHARDS, ShardGroups
from expclip_cache.heads.ridge.summing import sum_all_groups
from expclip_cache.workers import RunSettings
from ridge_witness import features
from tiny_caches import write_cache

FINGERPRINTS = {
    (0.0, "all"): "a165d597fde25954f2242495734387200a65c87abff353162f647c758c5c108e",
    (0.1, "all"): "d80909d1cf255652bcbeef68209b1eeb8fb618fda69628f730acefeb1b5808ed",
    (0.1, "some"): "2512f0eca9c69ef3ccbf0d9fe56278fa1f07e1d0e5cd44e02a5d001091bf4aa4",
}
"""As the version that held all row ids in memory computed them."""


def by_definition(X, Y, rows: np.ndarray, shard_rows: int) -> Moments:
    """The sums over some rows of arrays: blocks of a shard, shards of a group, groups, each from first to last."""
    total = Moments(X.shape[1], Y.shape[1])
    for first in range(0, len(X), GROUP_SHARDS * shard_rows):
        group = Moments(X.shape[1], Y.shape[1])
        for start in range(first, min(first + GROUP_SHARDS * shard_rows, len(X)), shard_rows):
            some = rows[(rows >= start) & (rows < start + shard_rows)]
            group.add_rows(X[some], Y[some])
        total.add(group)
    return total


@dataclass(frozen=True)
class Pair:
    """Two caches of the same n images, whose shards have other sizes, and where some rows are skipped."""

    X: np.ndarray
    Y: np.ndarray
    paired: np.ndarray
    images: FeatureCache
    targets: FeatureCache


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    def written(n: int, shard_rows: tuple[int, int], bad: float) -> Pair:
        folder, random = tmp_path_factory.mktemp("pair"), np.random.default_rng(n)
        X, Y = (values.astype("f2") for values in features(n, 4, 6, n))
        skipped = [random.random(n) < bad for _ in range(2)]
        images, targets = (
            write_cache(folder / name, values, rows, bad=tuple(np.flatnonzero(mask).tolist()))
            for name, values, rows, mask in zip("xy", (X, Y), shard_rows, skipped, strict=True)
        )
        return Pair(X, Y, np.flatnonzero(~(skipped[0] | skipped[1])), images, targets)

    return [
        written(200, (20, 7), 0.1),
        written(151, (10, 40), 0.2),
        written(130, (7, 7), 0.0),
        written(40, (64, 9), 0.5),
    ]


@settings(deadline=None)
@given(data=st.data())
def test_any_pair_of_caches_gives_the_bits_of_the_definition(pairs, data):
    pair = data.draw(st.sampled_from(pairs))
    n, share, size = len(pair.X), data.draw(st.sampled_from([0.0, 0.1, 0.37])), data.draw(st.integers(3, 40))
    only = data.draw(st.none() | st.lists(st.integers(0, n - 1)).map(lambda ids: np.array(ids, dtype=np.int64)))
    rows = pair.paired if only is None else np.intersect1d(pair.paired, only)
    held_out = rows[is_held_out(rows, share)]
    groups = ShardGroups(pair.images, pair.targets, share, only)
    total = sum_all_groups(groups, RunSettings(), SilentReporter())
    summed = np.setdiff1d(rows, held_out)
    assert bits(total) == bits(by_definition(pair.X, pair.Y, summed, pair.images.shard_rows))
    found = HeldOutRows(groups)
    assert len(found) == len(held_out)
    assert found[np.arange(len(held_out))].tolist() == held_out.tolist()
    for (x, y), ids in zip(found.batches(size), even_batches(held_out, size), strict=True):
        np.testing.assert_array_equal(x, pair.X[ids])
        np.testing.assert_array_equal(y, pair.Y[ids])


@pytest.mark.parametrize(("share", "which"), FINGERPRINTS)
def test_stored_sums_stay_valid(tmp_path, share, which):
    ones = np.ones((300, 4), dtype=np.float16)
    images = write_cache(tmp_path / "images", ones, 12, bad=(3, 17), logit_scale=100.0)
    targets = write_cache(tmp_path / "targets", ones, 20, bad=(17, 90))
    only = np.arange(290, 0, -3) if which == "some" else None
    assert ShardGroups(images, targets, share, only).fingerprint == FINGERPRINTS[share, which]


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    """Ten times the rows have 720 kB more row ids. The first run warms up what is allocated once."""
    monkeypatch.setattr(reader, "MAX_MAPPED", 4)
    monkeypatch.setattr(pairing, "BLOCK", 1000)
    peaks = {}
    for rows in (10_000, 10_000, 100_000):
        folder = tmp_path / f"{rows}-{len(peaks)}"
        X, Y = (np.ones((rows, width), dtype=np.float16) for width in (2, 3))
        pair = write_cache(folder / "x", X, 1000, bad=(5,)), write_cache(folder / "y", Y, 1000)
        tracemalloc.start()
        groups = ShardGroups(*pair, 0.1)
        assert groups.fingerprint
        assert sum_all_groups(groups, RunSettings(), SilentReporter()).rows == rows * 0.9 - 1
        assert sum(len(x) for x, _ in HeldOutRows(groups).batches(100)) == rows * 0.1
        peaks[rows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[100_000] < peaks[10_000] + 200_000, peaks
