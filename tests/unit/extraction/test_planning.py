"""Splitting rows into shards, parts and batches: every row exactly once, whatever the sizes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import SettingsError
from expclip_cache.cache.format import parse_part, plan_shards
from expclip_cache.extraction.decoding import plan_batches


@given(rows=st.integers(0, 500), shard_rows=st.integers(1, 60))
def test_a_plan_contains_every_row_exactly_once(rows, shard_rows):
    plan = plan_shards(rows, shard_rows)
    assert [row for part in plan for row in part] == list(range(rows))
    assert all(len(part) == shard_rows for part in plan[:-1])
    assert all(0 < len(part) <= shard_rows for part in plan)


@given(
    rows=st.integers(1, 400),
    shard_rows=st.integers(1, 60),
    batch=st.integers(1, 50),
    cuts=st.lists(st.integers(1, 400), max_size=5),
    done=st.sets(st.integers(0, 400)),
)
def test_parts_and_batches_contain_every_missing_row_exactly_once(rows, shard_rows, batch, cuts, done):
    """Each of several processes makes one part, and some shards are already finished."""
    plan = plan_shards(rows, shard_rows)
    bounds = sorted({0, len(plan), *(cut for cut in cuts if cut < len(plan))})
    found = []
    for first, end in pairwise(bounds):
        missing = [plan[number] for number in parse_part(f"{first}:{end}") if number not in done]
        batches = plan_batches(missing, batch)
        assert all(0 < len(piece) <= batch for piece in batches)
        # No batch crosses a shard boundary.
        assert all(piece.start // shard_rows == (piece.stop - 1) // shard_rows for piece in batches)
        found += [row for piece in batches for row in piece]
    assert found == [row for row in range(rows) if row // shard_rows not in done]


@given(st.text(max_size=12))
def test_a_text_is_parsed_as_a_part_or_refused(text):
    try:
        part = parse_part(text)
    except SettingsError:
        return
    assert len(part) > 0
    assert parse_part(f"{part.start}:{part.stop}") == part


@pytest.mark.parametrize("text", ["", "3", "3:3", "4:3", "-1:3", "1:", ":3", "1:2:3", "a:b", " 0:1", "٠:١", "0:1\n"])
def test_a_text_that_is_not_a_part_is_refused(text):
    with pytest.raises(SettingsError, match="expected first:end"):
        parse_part(text)
