"""Run the frozen CLIP over one dataset: python -m stages.encode_images NAME."""

import sys

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.extract import Job, extract
from pipeline.manifest import read_manifest
from pipeline.params import Params, load_params
from pipeline.paths import image_features, manifest_file
from pipeline.progress import TerminalReporter


def job(params: Params, name: str) -> Job:
    """What to encode, with what, into which folder."""

    def load():
        from pipeline.encoders.clip import load_clip
        from pipeline.encoders.device import resolve_device

        return load_clip(params.clip, resolve_device(params.run.device))

    def weights() -> str | None:
        from pipeline.encoders.weights import clip_weights_identity

        return clip_weights_identity(params.clip)

    return Job(
        read_manifest(manifest_file(name)),
        lambda: resolve_root(name, params.datasets[name]),
        params.clip.image_settings(),
        weights,
        load,
        image_features(params.clip.name, name),
    )


def main(name: str) -> None:
    """Fill features/<clip.name>/NAME."""
    params = load_params()
    extract(job(params, name), params.cache, params.run, TerminalReporter())


if __name__ == "__main__":
    with orderly():
        main(sys.argv[1])
