"""One flipped bit anywhere in a cache: `verify` finds it, and reading without `verify` is refused as well.

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


def bit_flips(folder, seed):
    """Flip one random bit of one file, FLIPS times; the file is restored after each."""
    rng = random.Random(seed)
    files = {path: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}
    assert [path.name for path in files] == [INDEX, *map(shard_name, range(3))]
    for _ in range(FLIPS):
        path = rng.choice(list(files))
        bit = rng.randrange(len(files[path]) * 8)
        damaged = bytearray(files[path])
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        yield path, bit
        path.write_bytes(files[path])


def is_refused(read):
    try:
        read()
    except CacheError:
        return True
    return False


@pytest.mark.slow
def test_verify_finds_every_flip(cache):
    assert not verify_cache(cache, SilentReporter()).broken
    for path, bit in bit_flips(cache, FLIPS):
        broken = [finding.part for finding in verify_cache(cache, SilentReporter()).broken]
        assert path.name in broken, f"bit {bit} of {path.name}"


@pytest.mark.slow
def test_the_reader_refuses_every_flip(cache):
    rows = FeatureCache(cache).good_rows
    for path, bit in bit_flips(cache, FLIPS + 1):
        assert is_refused(lambda: FeatureCache(cache)[rows]), f"bit {bit} of {path.name}"
    np.testing.assert_array_equal(FeatureCache(cache)[rows][:, 0], rows)


@pytest.mark.slow
def test_resuming_without_an_index_refuses_every_flip_of_a_shard(cache):
    for path, bit in bit_flips(cache, FLIPS + 2):
        assert path.name == INDEX or is_refused(partial(open_shard, path)), f"bit {bit} of {path.name}"
