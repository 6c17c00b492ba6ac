"""How long until a command answers? python -m benchmarks.startup, after `dvc repro`."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Figure, show, timed, timed_in_turn


def environment() -> dict[str, str]:
    """This process's environment, with the scripts of this Python first."""
    scripts = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}


def run(*command: str, folder: Path = Path()) -> None:
    """Run a command and discard its output.

    Raises:
        CalledProcessError: it failed.
    """
    subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)


def is_reproduced(folder: Path) -> bool:
    """Whether `dvc repro` has nothing to do in a checkout."""
    if not (folder / "dvc.lock").exists():
        return False
    command = ["dvc", "status", "--quiet"]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False).returncode == 0


def idle_repro(folder: Path) -> tuple[float, float]:
    """Seconds of `dvc version` and of a `dvc repro` that has nothing to do; `is_reproduced` must hold."""
    version, repro = timed_in_turn(
        lambda: run("dvc", "version", folder=folder), lambda: run("dvc", "repro", folder=folder)
    )
    return version, repro


def main() -> None:
    figures = [
        Figure("python -c ''", timed(lambda: run(sys.executable, "-c", ""))),
        Figure("expclip-cache --help", timed(lambda: run("expclip-cache", "--help")), wanted="< 0.5 s"),
    ]
    if is_reproduced(Path()):
        version, repro = idle_repro(Path())
        figures += [
            Figure("dvc version", version),
            Figure("dvc repro with nothing to do", repro, repro / version, note="no stage of ours runs"),
        ]
    else:
        print("There are stages to run, so an idle `dvc repro` cannot be timed: run `dvc repro` first.")
    show("Start-up", figures)


if __name__ == "__main__":
    main()
