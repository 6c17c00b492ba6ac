"""Run the frozen CLIP over one dataset: python -m stages.encode_images NAME."""

import sys

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.extraction.clip_job import clip_job
from pipeline.extraction.extract import extract
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.paths import image_features, manifest_file
from pipeline.progress import Reporter
from pipeline.stage_times import recorded_time


def main(name: str, report: Reporter) -> None:
    """Fill features/<clip.name>/NAME."""
    params = load_params()
    job = clip_job(
        read_manifest(manifest_file(name)),
        lambda: resolve_root(name, params.datasets[name]),
        params.clip,
        image_features(params.clip.name, name),
    )
    extract(job, params.cache, params.run, report)


if __name__ == "__main__":
    with orderly(), recorded_time(f"encode-images@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
