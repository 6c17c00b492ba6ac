"""List and hash one dataset, and draw a drawn one that is not there: python stages/manifest.py NAME."""

import sys

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import build_manifest, dataset_root, write_manifest
from expclip_cache.settings import load_settings, manifest_file


def main(name: str, report: Reporter) -> None:
    """Write manifests/NAME.jsonl."""
    dataset = load_settings().datasets[name]
    manifest = build_manifest(dataset_root(name, dataset, report), dataset, name, report)
    for note in manifest.notes:
        report.say(f"{name}: {note}")
    write_manifest(manifest, manifest_file(name))


if __name__ == "__main__":
    with handle_errors(), recorded_time(f"manifest@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
