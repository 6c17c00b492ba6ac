"""Groups of shards: which rows they hold, and the same bits whoever sums them in whatever order."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_moments import bits, some, unit

from expclip_cache.base.progress import SilentReporter
from expclip_cache.heads.ridge import shard_groups, summing
from expclip_cache.heads.ridge.held_out import HeldOutRows
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_file import write_moments
from expclip_cache.heads.ridge.ridge_path import RidgePath
from expclip_cache.heads.ridge.shard_groups import GROUP_SHARDS, ShardGroups
from expclip_cache.heads.ridge.stored_moments import complete_moments
from expclip_cache.heads.ridge.summing import sum_all_groups
from expclip_cache.workers.settings import RunSettings
from tiny_caches import write_cache

ROOT = Path(__file__).parents[3]
ROWS = 300


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """25 shards of 12 rows: three groups of 8 shards and one of a single shard."""
    folder = tmp_path_factory.mktemp("caches")
    X, Y = some(ROWS)
    images = write_cache(folder / "images", X, 12, bad=(3, 17), logit_scale=100.0)
    targets = write_cache(folder / "targets", Y, 12, bad=(17, 90))
    return X, Y, images, targets


@pytest.fixture(scope="module")
def groups(caches):
    return ShardGroups(*caches[2:], 0.1)


def total_of(groups: ShardGroups) -> Moments:
    """The definition: every group by itself, added in order."""
    total = Moments(groups.images.width, groups.targets.width)
    for group in range(len(groups)):
        total.add(groups.sum(group))
    return total


def test_groups_are_runs_of_eight_shards(groups):
    assert [groups.shards(group) for group in range(len(groups))] == [
        range(8),
        range(8, 16),
        range(16, 24),
        range(24, 25),
    ]
    assert GROUP_SHARDS == 8


def test_the_sums_leave_out_rows_that_are_skipped_or_held_out(caches, groups):
    X, Y, *_ = caches
    moments = sum_all_groups(groups, RunSettings(), SilentReporter())
    rows = [row for row in range(ROWS) if row not in (3, 17, 90) and row % 10 != 9]
    assert moments.rows == len(rows) == sum(groups.rows(group) for group in range(len(groups)))
    np.testing.assert_allclose(moments.xx, X[rows].astype("f8").T @ X[rows].astype("f8"), rtol=1e-12)
    np.testing.assert_allclose(moments.xy, X[rows].astype("f8").T @ unit(Y[rows]), rtol=1e-12)
    assert HeldOutRows(groups)[np.arange(ROWS // 10)].tolist() == list(range(9, ROWS, 10))


def test_targets_may_have_shards_of_another_size(caches, groups, tmp_path):
    _, Y, images, _ = caches
    targets = write_cache(tmp_path / "targets", Y, 30, bad=(17, 90))
    assert bits(total_of(ShardGroups(images, targets, 0.1))) == bits(total_of(groups))


def test_plain_sums_do_depend_on_the_order():
    """What fixing the order of the groups is for."""
    assert (0.1 + 0.2) + 0.3 != 0.1 + (0.2 + 0.3)


@pytest.fixture(scope="module")
def sums(groups):
    return [groups.sum(group) for group in range(len(groups))]


@pytest.fixture(scope="module")
def expected(groups):
    return bits(total_of(groups))


@pytest.fixture(scope="module")
def files(groups, sums, tmp_path_factory):
    """A file for each group, as parts leave them."""
    folder = tmp_path_factory.mktemp("files")
    for group, moments in enumerate(sums):
        write_moments(folder / str(group), moments, range(group, group + 1), groups.fingerprint)
    return [folder / str(group) for group in range(len(groups))]


@settings(deadline=None)
@given(data=st.data())
def test_groups_that_finish_in_any_order_give_the_same_bits(groups, sums, files, expected, data):
    """Some are read from files, some wait on disk, some finish twice, done by a worker thought dead too."""
    room = data.draw(st.integers(0, 3))
    stored = data.draw(st.sets(st.sampled_from(range(4))))
    finished = [group for group in data.draw(st.permutations(range(4))) if group not in stored]
    twice = data.draw(st.lists(st.sampled_from(finished))) if finished else []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(summing, "MAX_WAITING", room)
        total = summing._TotalInOrder(groups, {group: files[group] for group in stored}, SilentReporter(), Path(folder))
        for group in (*finished, *twice):
            total.finished(group, sums[group])
            assert len(total._waiting) <= room
        assert bits(total.complete()) == expected


def test_another_group_size_has_another_fingerprint_and_the_same_sums_but_for_rounding(groups, monkeypatch):
    expected, fingerprint = total_of(groups), groups.fingerprint
    monkeypatch.setattr(shard_groups, "GROUP_SHARDS", 3)
    other = ShardGroups(groups.images, groups.targets, 0.1)
    assert len(other) == 9
    assert other.fingerprint != fingerprint
    np.testing.assert_allclose(total_of(other).xx, expected.xx, rtol=1e-13)
    np.testing.assert_allclose(total_of(other).xy, expected.xy, rtol=1e-12)


PART = """
import sys
from pathlib import Path
from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import ShardGroups, sum_part
images, targets, folder = sys.argv[1:4]
groups = ShardGroups(FeatureCache(images), FeatureCache(targets), 0.1)
sum_part(Path(folder), groups, range(int(sys.argv[4]), int(sys.argv[5])), SilentReporter())
"""


@pytest.mark.slow
@pytest.mark.parametrize("parts", [[(0, 8), (8, 25)], [(16, 25), (0, 16)], [(8, 16)]])
def test_parts_of_other_processes_give_the_bits_of_one_run_and_the_same_head(groups, tmp_path, parts):
    for part in parts:
        arguments = [str(groups.images), str(groups.targets), str(tmp_path), *map(str, part)]
        subprocess.run([sys.executable, "-c", PART, *arguments], check=True, cwd=ROOT)
    merged = complete_moments(tmp_path, groups, RunSettings(), SilentReporter())
    whole = sum_all_groups(groups, RunSettings(), SilentReporter())
    assert bits(merged) == bits(whole) == bits(total_of(groups))
    assert RidgePath(merged).head(0.1).tobytes() == RidgePath(whole).head(0.1).tobytes()
    write_moments(tmp_path / "alone", whole, range(len(groups)), groups.fingerprint)
    assert (tmp_path / "moments.safetensors").read_bytes() == (tmp_path / "alone").read_bytes()


def test_every_setting_changes_the_fingerprint(caches, tmp_path, monkeypatch):
    X, _, images, targets = caches
    other = write_cache(tmp_path / "other", X, 20)
    recut = write_cache(tmp_path / "again/images", X, 25, bad=(3, 17), logit_scale=100.0)
    assert recut.identity == images.identity
    cases = [
        (images, targets, 0.1),
        (images, targets, 0.0),
        (images, other, 0.1),
        (other, targets, 0.1),
        (recut, targets, 0.1),
    ]
    found = [ShardGroups(*case).fingerprint for case in cases]
    for constant in ("VERSION", "BLOCK", "GROUP_SHARDS"):
        monkeypatch.setattr(shard_groups, constant, 99)
        found.append(ShardGroups(*cases[0]).fingerprint)
    assert len(set(found)) == len(cases) + 3
