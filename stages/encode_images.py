"""Run the frozen CLIP over one dataset: python stages/encode_images.py NAME."""

import sys

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import read_manifest, resolve_root
from expclip_cache.extraction import clip_job, run_job
from expclip_cache.settings import image_features, load_settings, manifest_file


def main(name: str, report: Reporter) -> None:
    """Fill features/<clip.name>/NAME."""
    settings = load_settings()
    job = clip_job(
        read_manifest(manifest_file(name)),
        lambda: resolve_root(name, settings.datasets[name]),
        settings.clip,
        image_features(settings.clip.name, name),
    )
    run_job(job, settings.cache, settings.run, report)


if __name__ == "__main__":
    with handle_errors(), recorded_time(f"encode-images@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
