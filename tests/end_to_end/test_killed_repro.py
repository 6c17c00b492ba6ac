"""`kill -9` at any moment of a whole `dvc repro`: of all its processes, of DVC alone, of a stage alone.

EXPCLIP_REPRO_KILLS=200 gives the run that docs/faults.md reports.
"""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest
from end_to_end.conftest import Checkout

from live_processes import processes_in, wait_for

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("EXPCLIP_REPRO_KILLS", "4"))
KINDS = ("everything", "DVC alone", "a stage alone", "everything, while DVC writes")


@pytest.fixture(scope="module")
def checkout(clone, first_run, tmp_path_factory) -> Checkout:
    """A copy of the finished clone."""
    folder = tmp_path_factory.mktemp("killed") / "checkout"
    shutil.copytree(clone.folder, folder, symlinks=True)
    return Checkout(folder, clone.programs)


class Runs:
    """Runs of `dvc repro` that are killed until one of them ends."""

    def __init__(self, checkout: Checkout):
        self.checkout, self.random, self.kills, self.unreadable = checkout, random.Random(KILLS), Counter[str](), 0

    def to_the_end(self, seconds: float) -> None:
        """Run, kill and repair until a run ends; `seconds` are those of an undisturbed run."""
        repaired = False
        while True:
            command = ["dvc", "repro"]
            environment = self.checkout.environment()
            with subprocess.Popen(
                [shutil.which(command[0], path=environment["PATH"]) or "", *command[1:]],
                cwd=self.checkout.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ) as run:
                killed = self.kills.total() < KILLS and self.kill(run, self.random.uniform(0, seconds))
                said, _ = run.communicate()
            wait_for(lambda: not processes_in(self.checkout.folder))
            if killed:
                repaired = False
            elif run.returncode == 0:
                return
            else:
                # What README says: when DVC cannot read one of its files, `doctor`, then the same command.
                assert not repaired, said
                repaired = True
                assert "cannot be read" in self.checkout.run("expclip-cache", "doctor").stdout, said
                self.unreadable += 1

    def kill(self, run: subprocess.Popen[str], after: float) -> bool:
        """Kill some processes of a run, if it lasts that long."""
        kind = KINDS[self.kills.total() % len(KINDS)]
        deadline, written = time.monotonic() + after, None
        while run.poll() is None:
            if time.monotonic() > deadline:
                state = self.state()
                if kind != KINDS[3] or (written is not None and state != written):
                    break
                written = state
            time.sleep(0.0005)
        found = processes_in(self.checkout.folder)
        if kind == KINDS[2]:
            found = {process: name for process, name in found.items() if name == "python"}
        elif kind == KINDS[1]:
            found = {process: name for process, name in found.items() if name == "dvc"}
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if run.poll() is None or found:
            self.kills[kind] += 1
        return bool(found)

    def state(self) -> list[tuple[int, int]]:
        """Changes whenever DVC writes one of its lock files."""
        found = []
        for name in ("dvc.lock", ".dvc/tmp/rwlock"):
            with suppress(OSError):
                status = (self.checkout.folder / name).stat()
                found.append((status.st_mtime_ns, status.st_size))
        return found


def test_after_any_kill_the_documented_commands_end_in_the_same_files(checkout):
    """Edits of the head's epochs, there and back; long campaigns also begin without any result."""
    results = {2: checkout.results()}
    checkout.edit(r"epochs: \d+", "epochs: 3")
    start = time.monotonic()
    checkout.repro()
    seconds, results[3] = time.monotonic() - start, checkout.results()
    assert results[2] != results[3]
    runs = Runs(checkout)
    for number in itertools.count():
        if runs.kills.total() >= KILLS:
            break
        epochs, anew = 2 + number % 2, number % 3 == 2
        if anew:
            checkout.run("git", "clean", "-xdfq")
        checkout.edit(r"epochs: \d+", f"epochs: {epochs}")
        runs.to_the_end(4 * seconds if anew else seconds)
        assert checkout.results() == results[epochs]
        assert "nothing to repair" in checkout.run("expclip-cache", "doctor").stdout
    sys.stdout.write(f"{dict(runs.kills)}; DVC could not read one of its files {runs.unreadable} times\n")
