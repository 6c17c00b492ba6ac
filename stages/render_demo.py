"""Draw one set of demo faces: python stages/render_demo.py NAME."""

import sys

from expclip_cache.base import Reporter, orderly, recorded_time
from expclip_cache.demo import render_set
from expclip_cache.settings import load_settings, rendered_faces


def main(name: str, report: Reporter) -> None:
    """Render data/NAME as params.yaml describes it under `demo`."""
    params = load_settings().demo[name]
    with report.bar(f"drawing {name}", params.count, params.kind.removesuffix("s")) as bar:
        render_set(params, rendered_faces(name), bar.advance)


if __name__ == "__main__":
    with orderly(), recorded_time(f"render-demo@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
