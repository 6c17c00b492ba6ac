"""Decisions from a survey and a request, without any file: every combination gives exactly one decision."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base import CacheError
from expclip_cache.cache import Identity, ShardEntry, plan_shards, shard_name
from expclip_cache.extraction.decide import Request, decide, mismatch
from expclip_cache.extraction.survey import Survey

SETTINGS = {"model": "tiny", "dtype": "float16", "manifest": "m" * 64, "encoder_version": 1}
ENCODER = {"width": 4, "weights_sha256": "w", "config_sha256": "c"}
PLAN = plan_shards(10, 4)


def request(**changes) -> Request:
    whole = Request(
        out="features/x",
        settings=SETTINGS,
        files={"weights_sha256": "w", "config_sha256": "c"},
        revision=None,
        libraries={"torch": "2.13.0"},
        plan=PLAN,
        shard_rows=4,
        part=range(3),
        whole=True,
    )
    return replace(whole, **changes)


def entry(number: int, settings=SETTINGS, encoder=ENCODER, library="torch 2.13.0", rows=None) -> ShardEntry:
    rows = rows or PLAN[number]
    record = {"name": shard_name(number), "first_row": rows.start, "rows": len(rows), "bytes": 1, "xxh3_128": "0" * 32}
    return ShardEntry(
        number=number,
        rows=rows,
        identity=Identity(settings, encoder),
        library=library,
        record=record,
        skipped=[],
    )


def shards(*numbers: int, **how) -> dict[int, ShardEntry]:
    return {number: entry(number, **how) for number in numbers}


@given(st.sets(st.integers(0, 2)), st.sets(st.integers(0, 2)), st.integers(0, 2), st.integers(1, 3))
def test_every_shard_of_the_part_is_either_kept_or_encoded(present, unsent, first, length):
    part = range(first, min(first + length, 3))
    found = {number: entry(number) for number in present if number in part}
    decision = decide(
        Survey(shards=found, unsent=frozenset(unsent & set(found))), request(part=part, whole=part == range(3))
    )
    assert sorted([*decision.keep, *decision.encode]) == list(part)
    assert set(decision.send) <= set(decision.keep)
    assert not decision.replace
    assert not decision.complete


def test_in_an_empty_folder_every_shard_is_encoded():
    decision = decide(Survey(shards={}), request())
    assert (decision.encode, decision.keep, decision.drop_index, decision.settings) == ((0, 1, 2), {}, False, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": SETTINGS | {"model": "other"}}, "model differs: cached 'tiny', requested 'other'"),
        ({"settings": SETTINGS | {"encoder_version": 2}}, "encoder_version differs: cached 1, requested 2"),
        ({"files": {"weights_sha256": "v"}}, "weights_sha256 differs: cached 'w', requested 'v'"),
        ({"files": {"config_sha256": "d"}}, "config_sha256 differs: cached 'c', requested 'd'"),
        ({"plan": plan_shards(10, 5), "shard_rows": 5}, "shard_rows differs: cached 4, requested 5"),
    ],
)
def test_a_mismatch_is_refused_by_name_or_replaced(changes, message):
    found = Survey(shards=shards(0, 1))
    with pytest.raises(CacheError, match=message):
        decide(found, request(**changes))
    decision = decide(found, request(**changes, on_mismatch="replace"))
    assert decision.replace
    assert decision.encode == (0, 1, 2)
    assert decision.settings == request(**changes).settings
    assert message in decision.notes[0]
    with pytest.raises(CacheError, match="would delete shards of the other parts"):
        decide(found, request(**changes, on_mismatch="replace", whole=False))


def test_a_shard_of_another_part_is_compared_too():
    found = Survey(shards={}, sample=entry(2, settings=SETTINGS | {"model": "other"}))
    with pytest.raises(CacheError, match="model differs: cached 'other', requested 'tiny'"):
        decide(found, request(part=range(2), whole=False))


def test_unknown_weights_are_not_compared():
    assert decide(Survey(shards=shards(0, encoder={"width": 4, "weights_sha256": "?"})), request(files=None)).keep


def test_with_another_manifest_a_difference_in_shard_rows_is_not_mentioned():
    changed = mismatch(Identity(SETTINGS | {"manifest": "n" * 64}, ENCODER), 5, request())
    assert len(changed) == 1
    assert changed[0].startswith("manifest differs")


def test_new_shards_get_the_settings_of_kept_shards_without_versions():
    old = {key: value for key, value in SETTINGS.items() if key != "encoder_version"}
    decision = decide(Survey(shards=shards(0, settings=old)), request())
    assert (decision.encode, decision.settings) == ((1, 2), old)
    with pytest.raises(CacheError, match="encoder_version differs: cached 1, requested 2"):
        decide(Survey(shards=shards(0, settings=old)), request(settings=SETTINGS | {"encoder_version": 2}))


def test_other_library_versions_are_reported_or_refused():
    found = Survey(shards=shards(0, library="torch 2.11.0"))
    decision = decide(found, request())
    assert decision.notes == (
        "features/x: keeping features made under other library versions: torch 2.11.0 cached, 2.13.0 installed",
    )
    with pytest.raises(CacheError, match=r"torch 2\.11\.0 cached, 2\.13\.0 installed"):
        decide(found, request(on_other_library="refuse"))


def test_a_build_for_another_device_is_the_same_library_version():
    assert decide(Survey(shards=shards(0, library="torch 2.13.0+cu130")), request(on_other_library="refuse")).keep
