"""How long until something answers? python -m benchmarks.startup, in a reproduced checkout."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Figure, show, timed


def main() -> None:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}

    def run(*command: str) -> float:
        return timed(lambda: subprocess.run(command, env=environment, capture_output=True, check=True))

    version, python = run("dvc", "version"), run(sys.executable, "-c", "")
    repro, help_ = run("dvc", "repro"), run("expclip-cache", "--help")
    show(
        "Start-up",
        [
            Figure("python -c ''", python),
            Figure("expclip-cache --help", help_, None, "< 0.5 s"),
            Figure("dvc version", version),
            Figure("dvc repro with nothing to do", repro, repro / version, "", "no stage of ours runs"),
        ],
    )


if __name__ == "__main__":
    main()
