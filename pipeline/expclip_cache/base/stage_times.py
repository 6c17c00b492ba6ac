"""How long each DVC stage took in its last run that had work to do, for the report page.

Times are not results: they are stored in a separate folder that neither Git nor DVC tracks.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from expclip_cache.base.progress import FinishedBar, TerminalReporter

TIMES = Path("times")
"""Folder with one JSON file per stage."""


@dataclass(frozen=True)
class StageTime:
    """The last run of a stage that had work to do.

    Attributes:
        stage: name as in dvc.yaml, such as `encode-images@demo-clean`.
        seconds: wall time of the stage, including the time to load the encoder.
        finished: UTC, ISO 8601.
        machine: processor architecture and number of cores.
        bars: the progress bars of the run, with count and time.
    """

    stage: str
    seconds: float
    finished: str
    machine: str
    bars: tuple[FinishedBar, ...]


@contextmanager
def recorded_time(stage: str) -> Iterator[TerminalReporter]:
    """Record how long the block takes if it ends without an error, and the progress bars it showed.

    A block that shows no bar, such as an encode stage that finds its cache complete, keeps the earlier record if that
    has bars: the earlier run did the work.
    """
    report, start = TerminalReporter(), time.perf_counter()
    yield report
    seconds, path = time.perf_counter() - start, TIMES / f"{stage}.json"
    earlier = _read(path)
    if earlier and earlier.bars and not report.done:
        return
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    record = StageTime(stage, round(seconds, 2), finished, machine, tuple(report.done))
    TIMES.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def read_stage_times() -> list[StageTime]:
    """All records, in the order in which the stages finished."""
    found = [entry for entry in map(_read, TIMES.glob("*.json")) if entry]
    return sorted(found, key=lambda entry: (entry.finished, entry.stage))


def _read(path: Path) -> StageTime | None:
    """One record; None if it is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return StageTime(**record | {"bars": tuple(FinishedBar(**item) for item in record["bars"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
