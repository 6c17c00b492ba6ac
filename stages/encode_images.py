"""Run the frozen CLIP over one dataset: python -m stages.encode_images NAME."""

import sys

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.extraction.clip_job import clip_job
from pipeline.extraction.extract import extract
from pipeline.manifest import read_manifest
from pipeline.params import load_params
from pipeline.paths import image_features, manifest_file
from pipeline.progress import TerminalReporter


def main(name: str) -> None:
    """Fill features/<clip.name>/NAME."""
    params = load_params()
    job = clip_job(
        read_manifest(manifest_file(name)),
        lambda: resolve_root(name, params.datasets[name]),
        params.clip,
        params.run.device,
        image_features(params.clip.name, name),
    )
    extract(job, params.cache, params.run, TerminalReporter())


if __name__ == "__main__":
    with orderly():
        main(sys.argv[1])
