"""List and hash one dataset: python stages/manifest.py NAME."""

import sys

from expclip_cache.base import Reporter, orderly, recorded_time
from expclip_cache.datasets import build_manifest, read_rows, resolve_root, write_manifest
from expclip_cache.settings import load_settings, manifest_file


def main(name: str, report: Reporter) -> None:
    """Write manifests/NAME.jsonl."""
    params = load_settings().datasets[name]
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
