"""List and hash one dataset: python -m stages.manifest NAME."""

import sys

from pipeline.console import orderly
from pipeline.datasets import read_rows, resolve_root
from pipeline.manifest import build_manifest, write_manifest
from pipeline.params import load_params
from pipeline.paths import manifest_file
from pipeline.progress import Reporter
from pipeline.stage_times import recorded_time


def main(name: str, report: Reporter) -> None:
    """Write manifests/NAME.jsonl."""
    params = load_params().datasets[name]
    root = resolve_root(name, params)
    listing = read_rows(root, params)
    with report.bar(f"hashing {name}", len(listing.rows), "row") as bar:
        manifest = build_manifest(name, root, listing, bar.advance)
    for note in manifest.notes:
        report.say(f"{name}: {note}")
    write_manifest(manifest, manifest_file(name))


if __name__ == "__main__":
    with orderly(), recorded_time(f"manifest@{sys.argv[1]}") as report:
        main(sys.argv[1], report)
