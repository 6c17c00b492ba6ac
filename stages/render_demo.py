"""Draw one set of demo faces: python -m stages.render_demo NAME."""

import sys

from pipeline.console import orderly
from pipeline.demo.sets import render_set
from pipeline.params import load_params
from pipeline.paths import rendered_faces
from pipeline.progress import Reporter
from pipeline.stage_times import recorded_time


def main(name: str, report: Reporter) -> None:
    """Render data/NAME as params.yaml describes it under `demo`."""
    params = load_params().demo[name]
    with report.bar(f"drawing {name}", params.count, params.kind.removesuffix("s")) as bar:
        render_set(params, rendered_faces(name), bar.advance)


if __name__ == "__main__":
    with orderly(), recorded_time(f"render-demo@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
