"""Render one set of demo faces: python stages/render_demo.py NAME."""

import sys

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.demo import render_set
from expclip_cache.settings import load_settings, rendered_faces


def main(name: str, report: Reporter) -> None:
    """Render data/NAME as described under `demo` in params.yaml."""
    demo_set = load_settings().demo[name]
    with report.bar(f"rendering {name}", demo_set.count, demo_set.kind.removesuffix("s")) as bar:
        render_set(demo_set, rendered_faces(name), bar.advance)


if __name__ == "__main__":
    with handle_errors(), recorded_time(f"render-demo@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
