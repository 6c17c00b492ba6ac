"""An index of many shards and many skipped rows, compared with a linear search, row by row."""

import numpy as np
import pytest

from caches import IDENTITY
from expclip_cache.base.errors import CacheError
from expclip_cache.cache.format import plan_shards, shard_name
from expclip_cache.cache.index import read_index, skipped_in, write_index
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.stores.store import store_at

ROWS, SHARD_ROWS = 5_003, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    plan = plan_shards(ROWS, SHARD_ROWS)
    records = [
        {"name": shard_name(k), "first_row": part.start, "rows": len(part), "bytes": 9_000, "xxh3_128": f"{k:032x}"}
        for k, part in enumerate(plan)
    ]
    random = np.random.default_rng(0)
    bad = sorted({0, 6, 7, ROWS - 1, *random.integers(0, ROWS, 400).tolist()})
    skipped = [{"row": row, "path": f"{row}.jpg", "reason": "broken"} for row in bad]
    how = {"rows": ROWS, "shard_rows": SHARD_ROWS, "classes": (), "libraries": ["test"]}
    write_index(folder, IDENTITY, records, skipped, **how)
    return folder


def test_the_id_of_a_row_determines_its_shard(folder):
    cache = FeatureCache(folder)
    assert len(cache) == ROWS
    assert [row for rows in cache.shards for row in rows] == list(range(ROWS))
    assert all(number == row // SHARD_ROWS for number, rows in enumerate(cache.shards) for row in rows)
    for row in (-ROWS - 1, ROWS):
        with pytest.raises(IndexError, match=f"has rows 0 to {ROWS - 1}"):
            cache[row]


def test_the_skipped_rows_of_every_shard(folder):
    index = read_index(store_at(folder))
    for part in [*plan_shards(ROWS, SHARD_ROWS), range(0), range(ROWS), range(100, 3_000)]:
        assert skipped_in(index["skipped"], part) == [item for item in index["skipped"] if item["row"] in part]


def test_a_skipped_row_is_refused_and_the_first_one_is_named(folder):
    cache = FeatureCache(folder)
    bad = sorted(cache.skipped)
    assert len(cache.good_rows) == ROWS - len(bad)
    for row in bad:
        with pytest.raises(CacheError, match=f"row {row} has no features: broken"):
            cache[np.array([bad[-1], row])[::-1]]
    with pytest.raises(CacheError, match="the shard is missing"):
        cache[cache.good_rows[:1]]
