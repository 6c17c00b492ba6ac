"""The packaged encoders load through the libraries' own classes, from their folders alone and without a network."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from transformers import AutoTokenizer

import expclip_cache.demo
from expclip_cache.demo.drawing.action_units import EXPRESSIONS
from expclip_cache.demo.drawing.sets import draw_items
from expclip_cache.demo.settings import DemoSetSettings
from expclip_cache.encoders.blip2_t5 import load_blip2_t5
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.llm_settings import INSTRUCTION, LlmSettings
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.prompts.templates import prompt_table

FOLDER = Path(expclip_cache.demo.__file__).parent


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    settings = DemoSetSettings(count=140, seed=999)
    return torch.from_numpy(np.stack([draw_items(settings, [index])[0, 0].transpose(2, 0, 1) for index in range(140)]))


def test_open_clip_builds_the_packaged_clip_from_its_folder():
    model = open_clip.create_model(f"local-dir:{FOLDER / 'clip'}", require_pretrained=True).eval()
    assert isinstance(model, open_clip.CLIP)
    assert model.logit_scale.exp().item() == pytest.approx(100, rel=1e-3)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{FOLDER / 'clip'}")
    tokens = tokenizer(["an expression of fear.", "quite unheard-of words: Schnäppchen!"])
    assert tokens.shape == (2, model.context_length)
    assert int(tokens.max()) == model.vocab_size - 1, "CLIP takes the feature at the largest token"
    ours = load_clip(ClipSettings(model="demo"), torch.device("cpu"))
    with torch.no_grad():
        assert torch.allclose(
            model.encode_text(tokens),
            ours.encode_texts(["an expression of fear.", "quite unheard-of words: Schnäppchen!"]),
            atol=1e-4,
        )


def test_the_tokenizers_can_represent_any_text():
    text = "quite unheard-of words: schnäppchen, 表情 🙂"
    for folder in ("clip", "blip2"):
        tokenizer = AutoTokenizer.from_pretrained(FOLDER / folder, local_files_only=True)
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text
        assert tokenizer.unk_token_id not in ids


def test_prompts_fit_into_the_context_and_differ():
    encoder = load_clip(ClipSettings(model="demo"), torch.device("cpu"))
    prompts = [prompt.text for prompt in prompt_table("reference", [1, 5], EXPRESSIONS)]
    features = encoder.encode_texts(prompts)
    assert features.shape == (len(prompts), encoder.width)
    assert len(torch.unique(features, dim=0)) == len(set(prompts))


def test_clip_features_differ_between_faces(faces):
    encoder = load_clip(ClipSettings(model="demo"), torch.device("cpu"))
    assert encoder.image_size == 64
    features = torch.nn.functional.normalize(encoder.encode_images(faces), dim=1)
    assert torch.isfinite(features).all()
    away = (features @ features.T)[~torch.eye(len(faces), dtype=torch.bool)]
    assert away.max() < 0.999
    assert away.mean() < 0.9


@pytest.mark.slow
def test_blip2_states_hold_the_expression_and_depend_on_the_instruction(faces):
    def pooled(instruction: str) -> np.ndarray:
        settings = LlmSettings(model="demo", instruction=instruction)
        return load_blip2_t5(settings, torch.device("cpu")).encode_images(faces).numpy()

    states = pooled(INSTRUCTION)
    assert np.isfinite(states).all()
    assert np.abs(states - pooled("Describe the background of the image.")).mean() > 0.1 * states.std()
    labels = np.arange(len(faces)) % len(EXPRESSIONS)
    half = len(faces) // 2
    means = np.stack([states[:half][labels[:half] == label].mean(axis=0) for label in range(len(EXPRESSIONS))])
    nearest = ((states[half:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == labels[half:]).mean() > 0.4, "chance is 0.14"


def test_weights_are_small():
    files = [FOLDER / "clip" / "open_clip_model.safetensors", FOLDER / "blip2" / "model.safetensors"]
    assert sum(file.stat().st_size for file in files) < 12e6
