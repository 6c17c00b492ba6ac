"""The files of the stage `intervals`, in results/statistics: intervals, differences, calibration, reliability."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from expclip_cache.base import DataError, csv_text
from expclip_cache.statistics.calibration_results import CalibrationRow, ReliabilityRow, StudyCalibration
from expclip_cache.statistics.results import Difference, ScoredRow, Statistics
from expclip_cache.statistics.settings import StatisticsSettings

Line = TypeVar("Line", ScoredRow, Difference, CalibrationRow, ReliabilityRow)


def write_statistics(found: Statistics, rows: Path, differences: Path) -> None:
    """Write the two csv files: three decimals, p values with three digits; None is an empty cell."""
    _write(found.rows, ScoredRow, rows)
    _write(found.differences, Difference, differences)


def read_statistics(rows: Path, differences: Path, settings: StatisticsSettings) -> Statistics:
    """Read what `write_statistics` wrote with these settings.

    Raises:
        DataError: a file is missing or damaged.
    """
    return Statistics(settings, tuple(_read(ScoredRow, rows)), tuple(_read(Difference, differences)))


def write_calibration(found: StudyCalibration, rows: Path, bins: Path) -> None:
    """Write the two csv files, as `write_statistics`."""
    _write(found.rows, CalibrationRow, rows)
    _write(found.bins, ReliabilityRow, bins)


def read_calibration(rows: Path, bins: Path) -> StudyCalibration:
    """Read what `write_calibration` wrote.

    Raises:
        DataError: a file is missing or damaged.
    """
    return StudyCalibration(tuple(_read(CalibrationRow, rows)), tuple(_read(ReliabilityRow, bins)))


def _write(lines: Sequence[Line], kind: type[Line], path: Path) -> None:
    names = [field.name for field in fields(kind)]
    text = csv_text(names, ([_cell(name, getattr(line, name)) for name in names] for line in lines))
    path.write_text(text, encoding="utf-8")


def _read(kind: type[Line], path: Path) -> list[Line]:
    types = {field.name: field.type for field in fields(kind)}
    try:
        lines = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        return [kind(**{name: _value(cell, types[name]) for name, cell in line.items()}) for line in lines]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Run `dvc repro intervals`.") from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: is damaged ({error!r}). Run `dvc repro -f intervals`.") from None


def _cell(name: str, value: object) -> object:
    return f"{value:.3g}" if name.endswith("_p") and value is not None else value


def _value(cell: str, kind: object) -> Any:
    """A cell as a field of that type."""
    if cell == "" and kind in (int | None, float | None):
        return None
    if kind in (int, int | None):
        return int(cell)
    return float(cell) if kind in (float, float | None) else cell
