"""From images to scores by commands alone, without DVC: extract, encode-prompts, score."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.extraction import encode_prompts
from expclip_cache.prompts import TYPES, prompt_table
from tiny_caches import write_cache
from tiny_encoders import write_clip

CLASSES = ("happiness", "anger")
WORDS = "classes: {happiness: [a photo of happiness.], anger: [a photo of anger., an expression of anger.]}\n"


def run(*words: str, ok: bool = True) -> str:
    done = CliRunner().invoke(app, list(words))
    assert (done.exit_code == 0) is ok, done.output
    return done.output


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(CLASSES * 2):
        path = tmp_path / "test" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 30, 3), 60 * number, dtype=np.uint8)).save(path)


@pytest.mark.slow
@pytest.mark.usefixtures("images")
def test_a_test_set_is_scored_by_three_commands():
    run("extract", "test", "features/test", "--layout", "image-folders")
    run("encode-prompts", "features/test", "features/prompts")
    texts = [prompt.text for prompt in prompt_table("reference", TYPES, CLASSES)]
    expected = encode_prompts(texts, "features/expected")
    prompts = FeatureCache("features/prompts")
    assert prompts.identity == expected.identity
    assert prompts.paths() == expected.paths()
    assert prompts[:].tobytes() == expected[:].tobytes()
    (scored,) = json.loads(run("score", "features/test", "--prompt-features", "features/prompts", "--json"))
    assert scored["items"] == 4
    assert list(scored["prompt_types"]) == ["1", "2", "3", "4", "5"]


@pytest.mark.usefixtures("images")
def test_the_clip_is_that_of_the_images_and_the_words_may_be_your_own(tmp_path):
    clip = write_clip(tmp_path / "clip")
    Path("words.yaml").write_text(WORDS)
    for out in ("features/a", "features/b"):
        run("extract", "test", out, "--layout", "image-folders", "--model", clip.model, "--preprocess", "clip")
    run("encode-prompts", "features/a", "features/b", "features/prompts", "--set", "words.yaml")
    prompts = FeatureCache("features/prompts")
    assert prompts.identity.encoder == FeatureCache("features/a").identity.encoder
    assert prompts.paths() == ["a photo of happiness.", "a photo of anger.", "an expression of anger."]
    scored = ("score", "features/a", "--prompt-features", "features/prompts", "--set", "words.yaml")
    assert "4 items" in run(*scored)
    assert "--types belongs to the sets reference and clean" in run(*scored, "--types", "2", ok=False)


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ("plain", "plain: the test set has no labels, so it cannot be scored."),
        ("mine", "mine: expected image features of a CLIP (clip-image), found features of another program."),
    ],
)
def test_what_has_no_labels_or_no_clip_is_refused(tmp_path, monkeypatch, cache, message):
    monkeypatch.chdir(tmp_path)
    features = np.ones((3, 4), dtype="f4")
    write_cache(tmp_path / "plain", features, 3)
    write_cache(tmp_path / "mine", features, 3, labels=np.zeros(3, dtype="i4"), classes=("anger",))
    assert message in " ".join(run("encode-prompts", cache, "out", ok=False).split())
    assert not Path("out").exists()
