"""Draw one set of demo faces: python -m stages.render_demo NAME."""

import sys

from pipeline.console import orderly
from pipeline.demo.sets import render_set
from pipeline.params import load_params
from pipeline.paths import rendered_faces
from pipeline.progress import TerminalReporter


def main(name: str) -> None:
    """Render data/NAME as params.yaml describes it under `demo`."""
    params = load_params().demo[name]
    with TerminalReporter().bar(f"drawing {name}", params.count, params.kind.removesuffix("s")) as bar:
        render_set(params, rendered_faces(name), bar.advance)


if __name__ == "__main__":
    with orderly():
        main(sys.argv[1])
