"""Moments summed by several workers: the bits of one pass, on processes and on a Ray cluster."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import ray
from unit.tiny_caches import write_cache

from expclip_cache.base.progress import SilentReporter
from expclip_cache.heads.ridge.moments_cache import sum_moments
from expclip_cache.heads.ridge.moments_work import sum_on_workers
from expclip_cache.workers.settings import RunSettings

PATHS = os.pathsep.join([str(Path(__file__).parent), *sys.path])


@pytest.fixture
def caches(tmp_path):
    random = np.random.default_rng(0)
    X, Y = (random.normal(size=(500, width)).astype("f2") for width in (8, 20))
    return write_cache(tmp_path / "x", X, 32, bad=(40,)), write_cache(tmp_path / "y", Y, 32)


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def cluster(threads, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATHS)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray.init(num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def assert_same_bits(caches, run):
    shards = range(len(caches[0].shards))
    alone = sum_moments(*caches, 0.1, shards)
    together = sum_on_workers(*caches, 0.1, shards, run, SilentReporter())
    assert (together.rows, together.shards) == (alone.rows, alone.shards)
    for name in ("xx", "xy"):
        assert getattr(together, name).value().tobytes() == getattr(alone, name).value().tobytes()


def test_on_processes(caches, threads):
    assert_same_bits(caches, RunSettings(device="cpu", processes=2))


def test_on_a_cluster(caches, cluster):
    assert_same_bits(caches, RunSettings(device="cpu", executor="ray", processes=2))
