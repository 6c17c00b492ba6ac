"""Wait for a condition, and list the live processes of a session or in a folder."""

import time
from collections.abc import Callable
from pathlib import Path

TIMEOUT = 300.0
"""Seconds after which a wait fails; on a busy machine importing torch takes a minute."""


def processes_of(session: int) -> list[int]:
    """Ids of the processes of a session, zombies excluded."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split() if folder.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(folder.name))
    return found


def processes_in(folder: Path) -> dict[int, str]:
    """Id -> name of the processes that work in a folder, zombies excluded."""
    found = {}
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                found[int(process.name)] = (process / "comm").read_text().strip()
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not met in {TIMEOUT:g} s"
        time.sleep(0.005)
