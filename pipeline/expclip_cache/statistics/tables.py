"""The files of the stage `intervals`, in results/statistics: five csv files."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from expclip_cache.base import csv_text, read_csv_rows
from expclip_cache.statistics.calibration_results import CalibrationRow, ReliabilityRow, StudyCalibration
from expclip_cache.statistics.results import ClassRecall, Difference, ScoredRow, Statistics
from expclip_cache.statistics.settings import StatisticsSettings

Line = TypeVar("Line", ScoredRow, ClassRecall, Difference, CalibrationRow, ReliabilityRow)


def write_statistics(found: Statistics, folder: Path) -> None:
    """Write intervals.csv, recalls.csv and differences.csv.

    Scores have three decimals, p values three digits; None is an empty cell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(found.rows, ScoredRow, folder / "intervals.csv")
    _write(found.recalls, ClassRecall, folder / "recalls.csv")
    _write(found.differences, Difference, folder / "differences.csv")


def read_statistics(folder: Path, settings: StatisticsSettings) -> Statistics:
    """Read what `write_statistics` wrote with these settings.

    Raises:
        DataError: a file is missing or damaged.
    """
    return Statistics(
        settings,
        rows=tuple(_read(ScoredRow, folder / "intervals.csv")),
        recalls=tuple(_read(ClassRecall, folder / "recalls.csv")),
        differences=tuple(_read(Difference, folder / "differences.csv")),
    )


def write_calibration(found: StudyCalibration, folder: Path) -> None:
    """Write calibration.csv and reliability.csv, as `write_statistics`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(found.rows, CalibrationRow, folder / "calibration.csv")
    _write(found.bins, ReliabilityRow, folder / "reliability.csv")


def read_calibration(folder: Path) -> StudyCalibration:
    """Read what `write_calibration` wrote.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows, bins = _read(CalibrationRow, folder / "calibration.csv"), _read(ReliabilityRow, folder / "reliability.csv")
    return StudyCalibration(tuple(rows), tuple(bins))


def _write(lines: Sequence[Line], kind: type[Line], path: Path) -> None:
    names = [field.name for field in fields(kind)]
    text = csv_text(names, ([_cell(name, getattr(line, name)) for name in names] for line in lines))
    path.write_text(text, encoding="utf-8")


def _read(kind: type[Line], path: Path) -> list[Line]:
    return read_csv_rows(kind, path, "dvc repro intervals", if_damaged="Run `dvc repro -f intervals`.")


def _cell(name: str, value: object) -> object:
    return f"{value:.3g}" if name.endswith("_p") and value is not None else value
