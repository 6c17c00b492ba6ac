"""Stage times: what is recorded, when an earlier record is kept, and damaged records."""

import pytest

from expclip_cache.base.progress import FinishedBar
from expclip_cache.base.stage_times import TIMES, read_stage_times, recorded_time


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_stage_and_its_bars_are_recorded():
    with recorded_time("encode-images@a") as report, report.bar("features", 3, "image") as bar:
        bar.advance(3)
    with recorded_time("score@a"):
        pass
    first, second = sorted(read_stage_times(), key=lambda entry: entry.stage)
    assert (first.stage, second.stage) == ("encode-images@a", "score@a")
    assert first.bars == (FinishedBar("features", 3, "image", first.bars[0].seconds),)
    assert 0 <= first.bars[0].seconds <= first.seconds + 0.01
    assert second.bars == ()


def test_a_run_with_nothing_to_do_keeps_the_time_of_the_run_that_did_the_work():
    with recorded_time("encode-images@a") as report, report.bar("features", 3, "image") as bar:
        bar.advance(3)
    before = read_stage_times()
    with recorded_time("encode-images@a") as report:
        report.say("complete; nothing to do")
    assert read_stage_times() == before


def test_a_stage_that_fails_records_nothing():
    with pytest.raises(ValueError, match="broken"), recorded_time("train"):
        raise ValueError("broken")
    assert read_stage_times() == []


def test_a_damaged_record_counts_as_missing():
    with recorded_time("train"):
        pass
    (TIMES / "train.json").write_text("{")
    (TIMES / "other.json").write_text('{"stage": "other", "bars": [{"name": 1}]}')
    assert read_stage_times() == []
    with recorded_time("train"):
        pass
    assert [entry.stage for entry in read_stage_times()] == ["train"]
