"""One flipped bit, anywhere: `verify` finds it, and reading without `verify` fails as clearly.

EXPCLIP_FLIPS=10000 gives the run that docs/faults.md reports.
"""

import os
import random
from functools import partial

import numpy as np
import pytest

from caches import make_cache
from expclip_cache.base.errors import CacheError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, shard_name
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.shard import open_shard
from expclip_cache.cache.verify import verify_cache

FLIPS = int(os.environ.get("EXPCLIP_FLIPS", "250"))


@pytest.fixture
def cache(tmp_path):
    return make_cache(tmp_path / "c", rows=10, bad=(5,))


def flips(folder, seed):
    """FLIPS times a file with one bit turned over, which is mended afterwards."""
    dice = random.Random(seed)
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    assert [path.name for path in files] == [INDEX, *map(shard_name, range(3))]
    for _ in range(FLIPS):
        path = dice.choice(list(files))
        bit = dice.randrange(len(files[path]) * 8)
        damaged = bytearray(files[path])
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        yield path, bit
        path.write_bytes(files[path])


def refused(read):
    try:
        read()
    except CacheError:
        return True
    return False


def test_verify_finds_every_flip(cache):
    assert not verify_cache(cache, SilentReporter()).broken
    for path, bit in flips(cache, FLIPS):
        broken = [finding.part for finding in verify_cache(cache, SilentReporter()).broken]
        assert path.name in broken, f"bit {bit} of {path.name}"


def test_no_flip_reaches_a_reader(cache):
    rows = FeatureCache(cache).good_rows
    for path, bit in flips(cache, FLIPS + 1):
        assert refused(lambda: FeatureCache(cache)[rows]), f"bit {bit} of {path.name}"
    np.testing.assert_array_equal(FeatureCache(cache)[rows][:, 0], rows)


def test_no_flip_of_a_shard_survives_a_resume(cache):
    """Without an index, a shard must prove itself."""
    for path, bit in flips(cache, FLIPS + 2):
        assert path.name == INDEX or refused(partial(open_shard, path)), f"bit {bit} of {path.name}"
