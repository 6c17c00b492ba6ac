"""`expclip-cache extract --pool none`, then `pool`: the features of clips without encoding again, and their scores."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from temporal_checkpoints import write_emotionclip

WORDS = "classes: {happiness: [a photo of happiness.], anger: [a photo of anger., an expression of anger.]}\n"


def run(*words: str, ok: bool = True) -> str:
    done = CliRunner().invoke(app, list(words))
    assert (done.exit_code == 0) is ok, done.output
    return done.output


@pytest.fixture
def clips(tmp_path, monkeypatch) -> None:
    """Four clips of 20 frames, in the folders of their classes; 16 frames of each are sampled."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number, name in enumerate(("happiness", "anger") * 2):
        folder = tmp_path / "clips" / name / f"clip-{number}"
        folder.mkdir(parents=True)
        for frame in range(20):
            Image.fromarray(random.integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(folder / f"{frame:02d}.png")


@pytest.mark.usefixtures("clips")
def test_kept_frames_are_pooled_by_one_command_for_each_way(tmp_path):
    settings = write_emotionclip(tmp_path / "model")
    model = ("--kind", "emotionclip", "--model", settings.model, "--weights", settings.weights, "--device", "cpu")
    run("extract", "clips", "frames", "--layout", "frame-folders", "--pool", "none", *model)
    frames = FeatureCache("frames")[:].astype(np.float32).reshape(4, 16, -1)
    for by in ("first", "max", "temporal"):
        run("pool", "frames", by, "--by", by, "--device", "cpu")
    assert np.array_equal(FeatureCache("first")[:], frames[:, 0])
    assert np.array_equal(FeatureCache("max")[:], frames.max(axis=1))
    assert "max: complete, 4 rows; nothing to do" in run("pool", "frames", "max", "--by", "max")
    refused = run("pool", "frames", "max", "--by", "first", ok=False)
    assert "holds features made with other settings; nothing was changed" in refused
    assert "pool differs: cached 'max', requested 'first'" in refused
    run("pool", "frames", "max", "--by", "first", "--on-mismatch", "replace")
    assert np.array_equal(FeatureCache("max")[:], frames[:, 0])

    (tmp_path / "words.yaml").write_text(WORDS)
    run("encode-prompts", "temporal", "first", "prompts", "--set", "words.yaml", "--device", "cpu")
    for features in ("temporal", "first", "frames"):
        assert "4" in run("score", features, "--prompt-features", "prompts", "--set", "words.yaml")


@pytest.mark.usefixtures("clips")
def test_what_has_no_frames_or_no_temporal_model_is_refused():
    run("extract", "clips", "frames", "--layout", "frame-folders", "--pool", "none", "--device", "cpu")
    refused = run("pool", "frames", "out", "--by", "temporal", ok=False)
    assert "kind open-clip has no temporal model" in refused
    run("pool", "frames", "mean", "--by", "mean")
    assert "expected the features of every frame (pool: none)" in run("pool", "mean", "out", "--by", "max", ok=False)
