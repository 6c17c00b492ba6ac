"""What does a newcomer wait for? python -m benchmarks.first_run [--against CHECKOUT], on a quiet machine.

Makes a fresh clone, an empty environment (the package cache stays warm), and runs the README's first command in it.
Every Python process reports its processor time and how much of it went into imports; the rest of a stage is work.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure, show

RECORDER = """
import atexit, builtins, json, os, sys, threading, time
original, depth, spent, main = builtins.__import__, 0, 0.0, threading.get_ident()
def timed(*arguments, **named):
    global depth, spent
    if threading.get_ident() != main:
        return original(*arguments, **named)
    start = time.process_time() if depth == 0 else 0.0
    depth += 1
    try:
        return original(*arguments, **named)
    finally:
        depth -= 1
        if depth == 0:
            spent += time.process_time() - start
def record():
    with open(os.environ["FIRST_RUN_LOG"], "a") as log:
        log.write(json.dumps([sys.argv[:2], time.process_time(), spent]) + "\\n")
builtins.__import__ = timed
atexit.register(record)
"""
"""A sitecustomize module: what each process did, written when it exits."""


@dataclass(frozen=True)
class FirstRun:
    """One first run.

    Attributes:
        install: wall seconds until the environment is there.
        wall: wall seconds of `dvc repro`.
        processor: processor seconds of `dvc repro` with all its processes.
        phases: phase -> processor seconds: `imports`, `DVC`, `work`, and `other`: forked decoding workers, which do not
            report, and shells.
    """

    install: float
    wall: float
    processor: float
    phases: dict[str, float]

    @property
    def work_share(self) -> float:
        """Share of the processor time that is neither imports nor DVC."""
        return (self.phases["work"] + self.phases["other"]) / self.processor


def first_run(checkout: Path, bytecode: bool) -> FirstRun:
    """Clone a checkout's last commit and run its first command."""
    with tempfile.TemporaryDirectory() as folder:
        clone, hooks, log = (Path(folder) / name for name in ("clone", "hooks", "log"))
        subprocess.run(["git", "clone", "-q", str(checkout.absolute()), str(clone)], check=True)
        hooks.mkdir()
        (hooks / "sitecustomize.py").write_text(RECORDER)
        unset = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        if not bytecode:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        start = time.perf_counter()
        subprocess.run(["uv", "sync", "-q"], cwd=clone, env=environment, check=True)
        install = time.perf_counter() - start
        environment |= {"PYTHONPATH": str(hooks), "FIRST_RUN_LOG": str(log)}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            ["uv", "run", "--no-sync", "dvc", "repro", "-q"],
            cwd=clone,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return FirstRun(install, wall, processor, phases_of(log, processor))


def phases_of(log: Path, processor: float) -> dict[str, float]:
    """Sum the records of all processes; all of DVC's own processes count as DVC, its imports included."""
    phases = {"DVC": 0.0, "imports": 0.0, "work": 0.0}
    for arguments, total, imports in map(json.loads, log.read_text().splitlines()):
        if any(Path(argument).name == "dvc" or "/dvc/" in argument for argument in arguments):
            phases["DVC"] += total
        else:
            phases["imports"] += imports
            phases["work"] += total - imports
    phases["other"] = processor - sum(phases.values())
    return phases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, run in turn with this one")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("uv") is None:
        raise SystemExit("uv is not installed: pip install uv")
    trees = {"this tree": Path()} | ({"other tree": options.against} if options.against else {})
    figures = []
    for bytecode in (True, False):
        runs: dict[str, list[FirstRun]] = {name: [] for name in trees}
        for _ in range(options.repeats):
            for name, checkout in trees.items():
                runs[name].append(first_run(checkout, bytecode))
        best = {name: min(found, key=lambda run: run.wall) for name, found in runs.items()}
        for name, run in best.items():
            words = ", ".join(f"{phase} {seconds:.0f}" for phase, seconds in sorted(run.phases.items()))
            figures.append(
                Figure(
                    f"{name}, {'bytecode kept' if bytecode else 'no bytecode written'}",
                    run.wall,
                    run.wall / best["other tree"].wall if "other tree" in best else None,
                    "< 0.5 of the other; work >= 60 %" if name == "this tree" else "",
                    f"install {run.install:.0f} s; processor {run.processor:.0f} s: {words}; "
                    f"work {100 * run.work_share:.0f} %",
                )
            )
    show("The first run", figures)


if __name__ == "__main__":
    main()
