"""Find the faces in every dataset with crop: detect: python stages/crops.py [--dataset NAME]."""

import argparse
from collections.abc import Sequence
from functools import partial

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import dataset_root, read_manifest
from expclip_cache.settings import CROPS, chosen_names, crop_file, load_settings, manifest_file


def main(report: Reporter, datasets: Sequence[str] = ()) -> None:
    """Write crops/NAME.jsonl for each dataset that needs it."""
    settings = load_settings()
    CROPS.mkdir(exist_ok=True)
    detected = [name for name, dataset in settings.datasets.items() if dataset.crop == "detect"]
    for name in chosen_names(datasets, detected, "the datasets with crop: detect"):
        from expclip_cache.faces import complete_crops  # imports Pillow and more, for which most studies have no use

        root = partial(dataset_root, name, settings.datasets[name], report)
        complete_crops(read_manifest(manifest_file(name)), root, crop_file(name), report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", action="append", default=[], help="only this one; repeatable")
    given = parser.parse_args()
    with handle_errors(resumes=True), recorded_time("crops") as report:
        main(report, given.dataset)
