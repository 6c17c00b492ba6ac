"""Images with several vectors from extraction to scores by commands alone, against the rule in plain NumPy."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.scoring.class_index import class_index
from tiny_backbones import CLASSES
from tiny_itc import QUERIES, WIDTH, write_blip2_itc, write_lavis_itc

LABELS = np.repeat(np.arange(len(CLASSES)), 2)
WORDS = {"classes": {name: [f"{name.title()}!", f"a photo of {name}."] for name in CLASSES}}


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("write", [write_blip2_itc, write_lavis_itc])
def test_the_best_of_an_images_vectors_counts(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(80):
        path = tmp_path / "test" / CLASSES[number % len(CLASSES)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((40, 30)).save(path)
    Path("words.yaml").write_text(json.dumps(WORDS))
    blip2 = write(tmp_path / "blip2")
    options = ("--kind", blip2.kind, "--model", blip2.model, "--weights", blip2.weights, "--preprocess", "clip")
    run("extract", "test", "features/test", "--layout", "image-folders", *options)
    run("encode-prompts", "features/test", "features/prompts", "--set", "words.yaml")
    words = ("--prompt-features", "features/prompts", "--set", "words.yaml", "--json")
    (scored,) = json.loads(run("score", "features/test", *words))
    images, prompts = FeatureCache("features/test"), FeatureCache("features/prompts")
    assert (images.layout.vectors, images.layout.width) == (QUERIES, WIDTH)

    vectors, texts = images[:].astype(np.float64).reshape(-1, QUERIES, WIDTH), prompts[:].astype(np.float64)
    vectors, texts = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (vectors, texts))
    cosines = vectors @ texts.T

    def by_class(of_prompts: np.ndarray) -> np.ndarray:
        return np.stack([of_prompts[:, label == LABELS].mean(axis=1) for label in range(len(CLASSES))], axis=1)

    expected = by_class(cosines.max(axis=1)).argmax(axis=1)
    # The mean of an image's vectors would say something else.
    assert (expected != by_class(cosines.mean(axis=1)).argmax(axis=1)).any()

    found = class_index(images.layout, prompts[:].astype(np.float32), LABELS, None, "mean").classify(images[:])
    np.testing.assert_array_equal(found, expected)
    labels = np.array([CLASSES.index(Path(path).parent.name) for path in images.paths()])
    assert scored["prompt_types"]["0"]["clip"]["war"] == pytest.approx(100 * (expected == labels).mean())
