"""A rerun's calibration is compared as its scores are: an answer that moved to another bin is no difference."""

from dataclasses import replace
from pathlib import Path

import pytest

from expclip_cache.reporting.rerun import compare_results
from expclip_cache.statistics.calibration_results import CalibrationRow, ReliabilityRow, StudyCalibration
from expclip_cache.statistics.tables import write_calibration

WHERE = ("raf-db", "b32", "", "", "reference", 5)
ROW = CalibrationRow(*WHERE, 300, 0, 50.0, 60.0, 10.0, 3.0, 1.2, 55.0, 60.0, 40.0, 55.0, 1.3, 4.0)
BINS = tuple(ReliabilityRow(*WHERE, number, *((150, 55.0, 50.0) if number in (9, 10) else (0, None, None)))
             for number in range(1, 16))  # fmt: skip
RECORDED = StudyCalibration((ROW,), BINS)


def write(folder: Path, found: StudyCalibration) -> Path:
    write_calibration(found, folder / "results/statistics")
    return folder


@pytest.fixture
def compared(tmp_path):
    def run(rerun: StudyCalibration, tolerance: float = 0.5):
        return compare_results(write(tmp_path / "a", RECORDED), write(tmp_path / "b", rerun), tolerance)

    return run


def moved_answer() -> StudyCalibration:
    bins = list(BINS)
    bins[8], bins[9] = replace(bins[8], answers=149), replace(bins[9], answers=151, accuracy=50.3)
    return StudyCalibration((replace(ROW, ece=10.2),), tuple(bins))


def test_equal_files_are_identical(compared):
    assert compared(RECORDED, 0).identical


def test_an_answer_in_the_next_bin_is_within_the_tolerance(compared):
    found = compared(moved_answer())
    assert found.matches
    assert found.largest == pytest.approx(0.2)


def test_without_a_tolerance_it_is_named(compared):
    names = {difference.file for difference in compared(moved_answer(), 0).differences}
    assert names == {"results/statistics/calibration.csv", "results/statistics/reliability.csv"}


def test_another_error_is_named(compared):
    (difference,) = compared(replace(RECORDED, rows=(replace(ROW, ece=11.0),))).differences
    assert str(difference) == "results/statistics/calibration.csv raf-db/b32/reference/5.ece: recorded 10.0, rerun 11.0"


def test_a_missing_bin_is_named(compared):
    found = compared(replace(RECORDED, bins=BINS[:-1]))
    assert {each.key for each in found.differences} >= {"raf-db/b32/reference/5/15.answers"}
