"""A test set without labels is refused before anything is encoded, whichever stage meets it first."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from expclip_cache.base import DataError, SilentReporter
from expclip_cache.settings import encode_study_prompts, load_settings
from stages import manifest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Gives a params.yaml in the current folder that scores a table of three images with these labels."""
    monkeypatch.chdir(tmp_path)

    def write(*labels: str, scored: bool = True) -> None:
        with Path("photos.csv").open("w", newline="") as file:
            rows = [["file", "emotion"][: 2 if labels else 1]]
            for number in range(3):
                Image.fromarray(np.full((8, 8, 3), 80 * number, dtype=np.uint8)).save(f"{number}.png")
                rows.append([f"{number}.png", *labels[number : number + 1]])
            csv.writer(file).writerows(rows)
        params = YAML(typ="safe").load((ROOT / "configs/demo.yaml").read_text())
        table = {"path": "{file}"} | ({"label": "emotion"} if labels else {})
        params["datasets"]["photos"] = {"source": "photos.csv", "layout": "table", "table": table}
        params["score"]["datasets"] = ["photos"] if scored else ["demo-clean"]
        with Path("params.yaml").open("w") as file:
            YAML().dump(params, file)

    return write


def test_the_manifest_of_a_test_set_needs_labels(study):
    study()
    with pytest.raises(DataError, match="test set photos: has no labels, and scoring needs one for every row"):
        manifest.main("photos", SilentReporter())
    study("anger", "fear", "anger")
    manifest.main("photos", SilentReporter())


def test_a_set_that_becomes_a_test_set_later_is_refused_before_its_prompts_are_encoded(study):
    study(scored=False)
    manifest.main("photos", SilentReporter())
    study()
    with pytest.raises(DataError, match="test set photos: has no labels"):
        encode_study_prompts(load_settings(), ["demo-clip"], SilentReporter())
    assert not Path("features").exists()
