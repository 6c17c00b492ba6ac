"""Moments summed by several workers: the bits of one process, on processes and on Ray, also if a worker dies."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from expclip_cache.base.progress import SilentReporter
from expclip_cache.heads.ridge import summing
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.shard_groups import ShardGroups
from expclip_cache.heads.ridge.summing import SumGroups, sum_all_groups
from expclip_cache.workers.settings import RunSettings
from tiny_caches import write_cache


@dataclass(frozen=True)
class DieOnce(SumGroups):
    """A worker that is killed after its first group, once over all workers."""

    @property
    def flag(self) -> Path:
        return Path(str(self.groups.images)).with_name("died")

    def __call__(self, worker, device, /):
        super().__call__(Dying(worker, self.flag), device)


class Dying:
    """The connection of such a worker: it dies with the second group in its hands."""

    def __init__(self, worker, flag):
        self.ready, self.finished, self.advance = worker.ready, worker.finished, worker.advance
        self._worker, self._flag, self._taken = worker, flag, 0

    def take(self, *, idle):
        task = self._worker.take(idle=idle)
        self._taken += task is not None
        if self._taken == 2 and not self._flag.exists():
            self._flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task


@pytest.fixture
def groups(tmp_path):
    """500 rows in 63 shards: eight groups."""
    random = np.random.default_rng(0)
    X, Y = (random.normal(size=(500, width)).astype("f2") for width in (8, 20))
    return ShardGroups(write_cache(tmp_path / "x", X, 8, bad=(40,)), write_cache(tmp_path / "y", Y, 8), 0.1)


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def assert_same_bits(groups, run):
    alone = Moments(8, 20)
    for group in range(len(groups)):
        alone.add(groups.sum(group))
    together = sum_all_groups(groups, run, SilentReporter())
    assert together.rows == alone.rows == sum(groups.rows(group) for group in range(8)) == 449
    assert (together.xx.tobytes(), together.xy.tobytes()) == (alone.xx.tobytes(), alone.xy.tobytes())


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_on_processes(groups, one_thread, processes):
    assert_same_bits(groups, RunSettings(device="cpu", processes=processes))


@pytest.mark.slow
def test_on_processes_when_one_is_killed(groups, one_thread, monkeypatch):
    monkeypatch.setattr(summing, "SumGroups", DieOnce)
    assert_same_bits(groups, RunSettings(device="cpu", processes=2))
    assert (Path(str(groups.images)).with_name("died")).exists()


@pytest.mark.slow
def test_on_a_cluster(groups, connected):
    assert_same_bits(groups, RunSettings(device="cpu", executor="ray", processes=2))
