"""List and hash one dataset, and draw a drawn one that is not there: python stages/manifest.py [NAME].

Without a name it is the dataset of the DVC stage that runs, `manifest@NAME`.
"""

import os
import sys
from dataclasses import replace

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import build_manifest, dataset_root, refuse_unlabelled, write_manifest
from expclip_cache.settings import chosen_names, load_settings, manifest_file


def main(name: str, report: Reporter) -> None:
    """Write manifests/NAME.jsonl."""
    settings = load_settings()
    dataset = settings.datasets[name]
    root = dataset_root(name, dataset, report)
    manifest = build_manifest(root, dataset, name, report)
    if name in settings.score.datasets:
        refuse_unlabelled(manifest)
    if dataset.is_definition and dataset.crop is None:
        from expclip_cache.faces import scene_note  # imports Pillow and more

        if note := scene_note(root, manifest.rows):
            manifest = replace(manifest, notes=(*manifest.notes, f"{note}; crop: detect finds the faces"))
    for note in manifest.notes:
        report.say(f"{name}: {note}")
    write_manifest(manifest, manifest_file(name))


if __name__ == "__main__":
    requested = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DVC_STAGE", "").partition("@")[2]
    with handle_errors():
        # Before anything is written under the name.
        chosen_names([requested], load_settings().datasets, "datasets")
        with recorded_time(f"manifest@{requested}") as report:
            main(requested, report)
