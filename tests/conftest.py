"""What all tests share, and how they are spread over processes."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

# Some tests stop a program of ours with Ctrl-C. Where these tests were started in the background, the shell has it
# ignored, and programs inherit that; a handler is not inherited, so they start as they would in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As in every command, see `let_idle_threads_sleep`; before anything loads torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # Most containers set it. Hundreds of processes would each compile the libraries that they import (20 s for those of
    # the encoders), so their bytecode is kept, in a folder of its own.
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / ".pytest_cache/bytecode"))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

if "PYTEST_XDIST_WORKER" in os.environ:
    # One process for each core: with several threads each they would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

MOST_PROCESSES = 4
"""Each takes up to 2 GB of memory."""

WHOLE_FOLDERS = ("tests/end_to_end/", "tests/workers/", "tests/faults/")
"""Their tests share what takes long to start, so one process runs a whole folder; the longest come first."""


def group(nodeid: str) -> str:
    """Tests of one group run in the same process: those of a file, or of a whole folder."""
    return next((folder for folder in WHOLE_FOLDERS if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put whole folders first, so that no process is left with a long one at the end."""
    items.sort(key=lambda item: (*WHOLE_FOLDERS, group(item.nodeid)).index(group(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for each core, but this process alone if only files are named: starting others takes seconds."""
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return GroupScheduling(config, log)
