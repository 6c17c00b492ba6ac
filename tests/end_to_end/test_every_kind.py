"""A backbone of every kind in one study, with heads on all of them: stages, tables, page, and the commands beside."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import XCLIPModel
from typer.testing import CliRunner

from every_kind import ENCODED, PUBLISHED, write_every_kind
from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.extraction import jobs, prompt_cache
from expclip_cache.scoring import Classifier, PredictionFile
from expclip_cache.settings import image_features, load_settings, prediction_file, prompt_features
from paper_study import run_stages
from stages import images, prompts

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SETS = ("clean", "clips", "raf-db", "afew")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study, after all of its stages, as the current folder; and what the report printed."""
    folder, before = tmp_path_factory.mktemp("study"), Path.cwd()
    (folder / "pipeline").mkdir()
    (folder / "pipeline/expclip_cache").symlink_to(ROOT / "pipeline/expclip_cache")
    os.chdir(folder)
    write_every_kind(folder, tmp_path_factory.mktemp("roots"))
    run_stages()
    yield folder
    os.chdir(before)


def table(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_backbone_is_scored_with_and_without_heads_on_every_set(study):
    settings = load_settings()
    rows = {(row["test_set"], row["backbone"], row["prompts"], row["head"]) for row in table("report/systems.csv")}
    for name in settings.backbones:
        sets = {"reference"} | ({"words"} if name.startswith("emoclip") else set())
        assert {prompts for _, backbone, prompts, _ in rows if backbone == name} == sets
        for test_set in SETS:
            for words in sets:
                assert {head for t, b, p, head in rows if (t, b, p) == (test_set, name, words)} == {
                    "",
                    "contrastive",
                    "ridge",
                }


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("backbone", ["demo-clip", "siglip", "flava", "emoclip", "emotionclip"])
def test_one_vector_an_item_is_compared_by_its_cosine(study, backbone):
    texts, similarities, rows = read(backbone)
    np.testing.assert_allclose(similarities, unit(rows) @ texts.T, atol=1e-5)


@pytest.mark.parametrize("backbone", ["blip2-itc", "lavis-itc", "emoclip-frames", "emotionclip-frames"])
def test_of_several_vectors_the_best_counts_and_a_clip_has_its_frames_mean(study, backbone):
    texts, similarities, rows = read(backbone)
    layout = FeatureCache(image_features(backbone, "clips")).layout
    cosines = unit(rows.reshape(len(rows), layout.frames, layout.vectors, layout.width)) @ texts.T
    np.testing.assert_allclose(similarities, cosines.max(axis=2).mean(axis=1), atol=1e-5)


def test_what_a_clip_shows_changes_the_texts_of_x_clip(study):
    images, texts = FeatureCache(image_features("x-clip", "clips")), FeatureCache(prompt_features("x-clip"))
    places = [texts.paths().index(f"an expression of {name}.") for name in images.classes]
    rows = torch.from_numpy(images[:]).unflatten(1, (-1, images.layout.width))
    raw = torch.from_numpy(texts[:][places]).expand(len(rows), -1, -1)
    with torch.no_grad():
        changed = raw + XCLIPModel.from_pretrained(study / "models/x-clip").eval().prompts_generator(raw, rows[:, 1:])
    expected = torch.nn.functional.cosine_similarity(rows[:, :1], changed, dim=-1)
    found = PredictionFile(prediction_file("x-clip", "clips")).similarities(Classifier("reference", 2))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def read(backbone: str):
    """The unit texts (c, d) of type 2, the similarities to them, and the rows of the clips."""
    images, texts = FeatureCache(image_features(backbone, "clips")), FeatureCache(prompt_features(backbone))
    places = [texts.paths().index(f"an expression of {name}.") for name in images.classes]
    file = PredictionFile(prediction_file(backbone, "clips"))
    return unit(texts[:][places].astype(np.float64)), file.similarities(Classifier("reference", 2)), images[:]


def test_published_systems_stand_beside_their_rows(study):
    rows = table("report/comparison.csv")
    for backbone, system in PUBLISHED.items():
        own = [row for row in rows if row["backbone"] == backbone and row["test_set"] == "afew"]
        assert own
        assert {row["published_backbone"] for row in own} == {system}
    missing = {row["published_backbone"] for row in rows if not row["backbone"]}
    assert {"FaRL", "VideoCLIP"} <= missing
    assert not missing & set(PUBLISHED.values())
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert "means the backbone without a head, also where it is another model: " in page
    assert page.count("published only") >= 2


def test_a_complete_study_loads_no_model(study, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(jobs, "_load_backbone", refuse)
    monkeypatch.setattr(prompt_cache, "_load", refuse)
    names = load_settings().backbones
    before = {name: FeatureCache(image_features(name, "clips")).identity.fingerprint for name in names}
    images.main(SilentReporter())
    prompts.main(SilentReporter())
    assert set(ENCODED) <= before.keys()
    for name, fingerprint in before.items():
        assert FeatureCache(image_features(name, "clips")).identity.fingerprint == fingerprint


@pytest.mark.parametrize(
    "command",
    [
        ["probe", "--shots", "1,2", "--draws", "2"],
        ["teachers"],
        ["map", "clips"],
        ["ablate", "--axes", "backbone"],
        ["table"],
    ],
    ids=lambda words: words[0],
)
def test_the_commands_take_such_a_study(study, command):
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    for name in ("siglip", "x-clip", "lavis-itc"):
        assert name in found.output or any(name in file.read_text("utf-8", "ignore") for file in written(command[0]))


def written(command: str) -> list[Path]:
    folder = {
        "probe": "probes",
        "teachers": "teachers",
        "map": "report/maps",
        "ablate": "ablations",
        "table": "report",
    }[command]
    return [file for file in Path(folder).rglob("*") if file.suffix in (".csv", ".html", ".tex")]
