"""A study that keeps the frames of clips once and pools them in four ways, by its stages, with a tiny EmoCLIP."""

from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import tiny_encoders
from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.demo import EXPRESSIONS
from expclip_cache.encoders.kinds import emoclip
from expclip_cache.scoring import Classifier, PredictionFile
from expclip_cache.settings import image_features, load_settings, prediction_file, prompt_features
from face_images import RecordingReporter
from stages import heads, images, manifest, prompts, scores, targets
from temporal_checkpoints import write_emoclip

DRAWING = "pipeline/expclip_cache/demo/drawing"
FRAMES = 4
POOLED = {"first": "first", "max": "max", "attention": "attention", "own": "temporal"}
SETS = ("train", "clean", "clips")


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """Two CLIPs that encode, four that pool; a still test set, one of clips, and training images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiny_encoders, "WORDS", [*tiny_encoders.WORDS, *EXPRESSIONS])
    clip = write_emoclip(tmp_path / "model")
    kind = {"kind": "emoclip", "model": clip.model, "weights": clip.weights}
    pooled = {name: {**kind, "pool": pool} for name, pool in POOLED.items()}
    pooled["own"]["published_as"] = "EmoCLIP"
    tree = {
        "run": {"device": "cpu", "batch_size": 16, "workers": 0},
        "backbones": {**pooled, "mean": kind, "frames": {**kind, "pool": "none"}},
        "teachers": {"demo-llm": {}},
        "cache": {"shard_rows": 16, "dtype": "float32"},
        "prompts": {"reference": {"types": [2]}},
        "train": {"dataset": "train"},
        "heads": {"ridge": {"kind": "ridge", "choose": "fixed", "backbones": ["frames", "own", "max"]}},
        "score": {"datasets": ["clean", "clips"]},
        "datasets": {
            "train": {"source": DRAWING, "draw": {"count": 30, "seed": 1, "labelled": False}, "labelled": False},
            "clean": {"source": DRAWING, "draw": {"count": 14, "seed": 2}},
            "clips": {"source": DRAWING, "draw": {"count": 14, "seed": 4, "kind": "clips"}, "frames": FRAMES},
        },
    }
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(tree, file)
    for name in SETS:
        manifest.main(name, SilentReporter())
    return tmp_path


def rows(backbone: str, dataset: str) -> np.ndarray:
    return FeatureCache(image_features(backbone, dataset))[:]


def similarities(backbone: str) -> np.ndarray:
    """(n, c) of the clips under the plain backbone."""
    return PredictionFile(prediction_file(backbone, "clips")).similarities(Classifier("reference", 2))


@pytest.mark.usefixtures("study")
def test_frames_are_encoded_once_pooled_four_ways_and_scored(monkeypatch):
    report = RecordingReporter()
    images.main(report)
    encoded = [title for title, *_ in report.bars if title.startswith("features/images") and " on cpu" in title]
    assert sorted(title.split()[0] for title in encoded) == sorted(
        str(image_features(name, dataset)) for name in ("mean", "frames") for dataset in SETS
    )
    texts = [title for title, *_ in report.bars if title.startswith("features/prompts")]
    assert len(texts) == 1, "all have the same text tower"
    frames = rows("frames", "clips").reshape(14, FRAMES, -1)
    np.testing.assert_allclose(rows("mean", "clips"), frames.mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(rows("first", "clips"), frames[:, 0])
    np.testing.assert_array_equal(rows("max", "clips"), frames.max(axis=1))
    for still in ("train", "clean"):
        for name in ("first", "max", "attention"):
            np.testing.assert_array_equal(rows(name, still), rows("frames", still))
        assert not np.allclose(rows("own", still), rows("frames", still)), "EmoCLIP has its own feature of an image"

    for stage in (targets, prompts, heads, scores):
        stage.main(SilentReporter())
    texts = FeatureCache(prompt_features("max"))
    names = FeatureCache(image_features("max", "clips")).classes
    T = texts[[texts.paths().index(f"an expression of {name}.") for name in names]]
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    X = frames.max(axis=1)
    cosines = X @ T.T / np.linalg.norm(X, axis=1, keepdims=True)
    np.testing.assert_allclose(similarities("max"), cosines, atol=1e-5)
    F = frames / np.linalg.norm(frames, axis=2, keepdims=True)
    np.testing.assert_allclose(similarities("frames"), (F @ T.T).mean(axis=1), atol=1e-5)

    def refuse(*_, **__):
        raise AssertionError("a complete study loads no model")

    monkeypatch.setattr(emoclip, "load", refuse)
    again = RecordingReporter()
    images.main(again)
    assert not again.bars
    assert sum("complete" in line and "rows; nothing to do" in line for line in again.lines) == len(SETS) * 6


@pytest.mark.usefixtures("study")
def test_one_pooling_alone_has_its_frames_encoded():
    images.main(SilentReporter(), ["max"], ["clips"])
    made = {path.parent.name for path in Path("features/images").glob("*/clips")}
    assert made == {"frames", "max"}


@pytest.mark.usefixtures("study")
def test_backbones_that_pool_read_no_images():
    settings = load_settings()
    assert settings.readers_of("clips", settings.backbones["frames"]) == 2
    assert {name: settings.frames_of(name) for name in settings.backbones} == {
        **dict.fromkeys(POOLED, "frames"),
        "mean": None,
        "frames": None,
    }
