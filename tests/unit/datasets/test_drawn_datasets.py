"""Datasets whose images are drawn: their settings, their root, and their manifests."""

from pathlib import Path

import pytest

from expclip_cache.base import DataError, SettingsError, SilentReporter, build
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.definition import builtin_definitions, definition_of
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.roots import dataset_root, resolve_root
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.demo.drawing.action_units import EXPRESSIONS
from expclip_cache.demo.drawing.render import render_set
from expclip_cache.demo.settings import DemoSetSettings

CODE = "pipeline/expclip_cache/demo/drawing"
FACES = DatasetSettings(source=CODE, draw=DemoSetSettings(count=9, seed=4))
FLAT = DatasetSettings(source=CODE, draw=DemoSetSettings(count=3, seed=4, labelled=False), labelled=False)
CLIPS = DatasetSettings(source=CODE, draw=DemoSetSettings(count=2, seed=4, kind="clips"))


@pytest.fixture(autouse=True)
def _working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_layout_follows_from_what_is_drawn():
    assert definition_of(FACES).layout == FACES.folder_layout == "image-folders"
    assert definition_of(CLIPS).layout == CLIPS.folder_layout == "frame-folders"
    assert build(DatasetSettings, source=CODE, draw={"count": 1, "seed": 1}, layout="image-folders").draw is not None
    own = DatasetSettings(source="my/photos", layout="image-folders")
    assert own.draw is None
    assert own.folder_layout == "image-folders"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"layout": "frame-folders"},
            "draw makes images, which have the layout image-folders, found layout frame-fold",
        ),
        ({"draw": {"count": 1, "seed": 1, "kind": "clips"}, "layout": "image-folders"}, "draw makes clips, which have"),
        ({"layout": "clip-list"}, "found layout clip-list"),
        ({"source": str(builtin_definitions()["raf-db"])}, "draw is given, but the source .* is a definition file"),
        ({"draw": {"count": 1, "seed": 1, "labelled": False}}, "no class folders, but labelled is true; set labelled"),
        ({"fold": 1}, "only a definition file can have folds"),
        ({"classes": ["anger", "contempt"]}, r"expected expressions that are drawn \(happiness, .*\), found contempt"),
        ({"classes": ["anger"], "labelled": False}, "classes are given, but labelled is false"),
        ({"draw": {"count": 0, "seed": 1}}, "draw.count"),
        ({"draw": {"count": 1, "seed": 1, "styl": "grey"}}, "draw.styl: unknown key. Did you mean 'style'"),
    ],
)
def test_settings_that_contradict_each_other(keys, message):
    with pytest.raises(SettingsError, match=message):
        build(DatasetSettings, **{"source": CODE, "draw": {"count": 1, "seed": 1}, **keys})


def test_labels_may_be_left_unread():
    dataset = FACES.model_copy(update={"labelled": False})
    listing = read_rows(dataset_root("faces", dataset, SilentReporter()), dataset)
    assert listing.classes == ()
    assert len(listing.rows) == 9


def test_some_classes_of_a_drawn_set():
    dataset = DatasetSettings(source=CODE, draw=DemoSetSettings(count=9, seed=4), classes=("anger", "happiness"))
    manifest = build_manifest(dataset_root("faces", dataset, SilentReporter()), dataset)
    assert manifest.classes == ("happiness", "anger")
    assert len(manifest.rows) == 3


def test_the_root_is_drawn_when_images_are_needed_and_never_by_looking():
    with pytest.raises(DataError, match=r"data/faces: expected the images that datasets\.faces draws, found nothing"):
        resolve_root("faces", FACES)
    assert not Path("data").exists()
    root = dataset_root("faces", FACES, SilentReporter())
    assert root == Path("data/faces") == resolve_root("faces", FACES)
    (root / "fear/00006.png").unlink()
    with pytest.raises(
        DataError, match=r"found another or an incomplete set\. `python stages/manifest.py faces` draws"
    ):
        resolve_root("faces", FACES)
    assert dataset_root("faces", FACES, SilentReporter()) == root
    assert (root / "fear/00006.png").is_file()
    other = FACES.model_copy(update={"draw": DemoSetSettings(count=9, seed=5)})
    with pytest.raises(DataError, match="another or an incomplete set"):
        resolve_root("faces", other)


def test_the_root_of_other_datasets_is_resolved(tmp_path):
    own = DatasetSettings(source=str(tmp_path), layout="image-folders")
    assert dataset_root("own", own, SilentReporter()) == tmp_path
    with pytest.raises(DataError, match=r"datasets.own.source: expected a folder"):
        dataset_root("own", DatasetSettings(source="data/gone", layout="image-folders"), SilentReporter())


@pytest.mark.parametrize("dataset", [FACES, FLAT, CLIPS])
def test_the_manifest_is_that_of_the_images_alone(tmp_path, dataset):
    root = dataset_root("demo", dataset, SilentReporter())
    render_set(dataset.draw, tmp_path / "plain")
    plain = DatasetSettings(source="plain", layout=dataset.folder_layout, labelled=dataset.labelled)
    drawn, copied = build_manifest(root, dataset, "demo"), build_manifest(tmp_path / "plain", plain, "demo")
    assert drawn == copied
    assert drawn.sha256 == copied.sha256
    assert len(drawn.rows) == dataset.draw.count
    assert not any("ignored" in note for note in drawn.notes), "the record of a drawn set is not an item"
    assert set(drawn.classes) <= set(EXPRESSIONS)
