"""Run the frozen CLIP over one dataset: python stages/encode_images.py NAME."""

import sys

from expclip_cache.base import Reporter, orderly, recorded_time
from expclip_cache.datasets import read_manifest, resolve_root
from expclip_cache.extraction import clip_job, extract
from expclip_cache.settings import image_features, load_settings, manifest_file


def main(name: str, report: Reporter) -> None:
    """Fill features/<clip.name>/NAME."""
    params = load_settings()
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
