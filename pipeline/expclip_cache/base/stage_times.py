"""How long each stage took when it last had work here: written by the stages, shown on the report page.

Times are no results: they lie in a folder of their own that neither Git nor DVC keeps.
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

from expclip_cache.base.progress import TerminalReporter, Work

TIMES = Path("times")
"""One JSON file a stage."""


@dataclass(frozen=True)
class StageTime:
    """One stage's last run with work to do.

    Attributes:
        stage: as in dvc.yaml, `encode-images@demo-clean`.
        seconds: wall time of its own work, loading of the encoder included.
        finished: UTC, ISO 8601.
        machine: kind of processor and number of cores.
        work: what was counted on the way, and how fast it went.
    """

    stage: str
    seconds: float
    finished: str
    machine: str
    work: tuple[Work, ...]


@contextmanager
def recorded_time(stage: str) -> Iterator[TerminalReporter]:
    """Record how long the block took, if it ends well; its bars say what was done.

    A block without a bar, such as an encode stage that finds its cache complete, leaves the record of one that had
    some: that run did the work.
    """
    report, start = TerminalReporter(), time.perf_counter()
    yield report
    seconds, path = time.perf_counter() - start, TIMES / f"{stage}.json"
    earlier = _read(path)
    if earlier and earlier.work and not report.done:
        return
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    record = StageTime(stage, round(seconds, 2), finished, machine, tuple(report.done))
    TIMES.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def read_stage_times() -> list[StageTime]:
    """What is recorded here, in the order in which the stages finished."""
    found = [entry for entry in map(_read, TIMES.glob("*.json")) if entry]
    return sorted(found, key=lambda entry: (entry.finished, entry.stage))


def _read(path: Path) -> StageTime | None:
    """One record; None where there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return StageTime(**record | {"work": tuple(Work(**item) for item in record["work"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
