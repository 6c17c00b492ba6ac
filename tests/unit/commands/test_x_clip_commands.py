"""X-CLIP from clips to scores by commands alone, with and without a head, against transformers' own forward pass."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, XCLIPModel
from typer.testing import CliRunner

from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.heads import write_head
from expclip_cache.heads.origin import fitted_on
from expclip_cache.prompts import PromptSettings
from expclip_cache.scoring import score
from tiny_encoders import SIZE
from tiny_x_clip import D, write_x_clip

CLASSES = ("happiness", "anger", "fear")
FRAMES, T = 16, 20
TAKEN = [2, 6, 10, 14]
"""The middles of four equal parts of the 16 frames that `extract` samples, here all that there are."""

PROMPTS = [f"an expression of {name}." for name in CLASSES]


def run(*words: str, ok: bool = True) -> str:
    done = CliRunner().invoke(app, list(words))
    assert (done.exit_code == 0) is ok, done.output
    return done.output


@pytest.fixture
def clips(tmp_path, monkeypatch) -> list[Path]:
    """The folders of 24 clips, in the order of their paths; faces of a few colours, so that clips differ."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "clips" / CLASSES[number % 3] / f"{number:02d}"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((40, 30)).save(folder / f"{frame}.png")
    return sorted((tmp_path / "clips").glob("*/*"))


def predictions(model_folder: str, clips: list[Path], head: np.ndarray | None) -> np.ndarray:
    """The class of each clip by the library: its processor, its forward pass, and the head on what that compares."""
    model = XCLIPModel.from_pretrained(model_folder).eval()
    processor = AutoImageProcessor.from_pretrained(
        model_folder,
        image_processor_type="VideoMAEImageProcessor",
        backend="pil",
        crop_size={"height": SIZE, "width": SIZE},
    )
    videos = [[Image.open(folder / f"{frame}.png") for frame in TAKEN] for folder in clips]
    pixels = torch.cat([processor(video, return_tensors="pt")["pixel_values"] for video in videos])
    tokens = AutoTokenizer.from_pretrained(model_folder)(PROMPTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        output = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, pixel_values=pixels)
    if head is None:
        return output.logits_per_video.argmax(dim=1).numpy()
    # Both are of unit length, which the cosine behind the head does not feel.
    video, texts = output.video_embeds.numpy() @ head.T, output.text_embeds.numpy() @ head.T
    texts /= np.linalg.norm(texts, axis=-1, keepdims=True)
    return np.einsum("nt,nct->nc", video, texts).argmax(axis=1)


def test_scores_are_those_of_the_librarys_own_forward_pass(clips, tmp_path):
    model = write_x_clip(tmp_path / "model").model
    head = np.random.default_rng(5).normal(size=(T, D)).astype(np.float32)
    options = ("--kind", "x-clip", "--model", model, "--preprocess", "clip", "--dtype", "float32", "--workers", "0")
    run("extract", "clips", "features/clips", "--layout", "frame-folders", *options)
    run("encode-prompts", "features/clips", "features/prompts")
    images = FeatureCache("features/clips")
    write_head(Path("head.safetensors"), head, fitted_on(images, images))
    # From here on the caches are enough.
    expected = {name: predictions(model, clips, each) for name, each in (("clip", None), ("head", head))}
    shutil.rmtree(model)
    words = ("--prompt-features", "features/prompts", "--head", "head.safetensors", "--types", "2", "--json")
    (scored,) = json.loads(run("score", "features/clips", *words))
    truth = np.array([CLASSES.index(folder.parent.name) for folder in clips])
    found = scored["prompt_types"]["2"]
    assert len(np.unique(expected["clip"])) > 1
    assert (expected["clip"] != expected["head"]).any()
    for name, scores in (("clip", found["clip"]), ("head", found["heads"]["head"])):
        recalls = [100 * (expected[name][truth == label] == label).mean() for label in range(len(CLASSES))]
        assert scores["war"] == pytest.approx(100 * (expected[name] == truth).mean(), abs=1e-3)
        assert scores["uar"] == pytest.approx(np.mean(recalls), abs=1e-3)
    (one,) = score(images, "features/prompts", {"head": head}, PromptSettings(types=(2,)))
    np.testing.assert_array_equal(one.predictions.clip[2], expected["clip"])
    np.testing.assert_array_equal(one.predictions.expclip[2]["head"], expected["head"])

    weights = Path("features/prompts/conditioning.safetensors")
    assert weights.name in run("verify", "features/prompts")
    weights.unlink()
    message = " ".join(run("score", "features/clips", *words, ok=False).split())
    assert f"error: {weights}: is missing, and these prompts cannot be compared without it. Encode them" in message
    assert f"{weights}: is missing" in " ".join(run("inspect", "features/prompts").split())
