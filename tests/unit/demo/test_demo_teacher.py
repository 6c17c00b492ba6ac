"""The demo's teacher follows its instruction: its targets and its own answers, by transformers' own generation."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Blip2ForConditionalGeneration

import expclip_cache.demo
from expclip_cache.demo import ACTION_UNITS, EXPRESSIONS, DemoSetSettings, draw_items, plan_face
from expclip_cache.encoders import LlmSettings, load_blip2_t5

FOLDER = Path(expclip_cache.demo.__file__).parent / "blip2"
SEED, COUNT = 998, 400
ACTION = LlmSettings().instruction
APPEARANCE = "Describe the appearance of the person in the image."
BACKGROUND = "Describe the background of the image."
QUESTION = "Question: which expression does the person in the image show? Options: {}. Answer:"


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    items = draw_items(DemoSetSettings(count=COUNT, seed=SEED), range(COUNT))
    return torch.from_numpy(np.ascontiguousarray(items[:, 0].transpose(0, 3, 1, 2)))


def _explained(truth: np.ndarray, targets: np.ndarray) -> float:
    """Share of the targets' variance that a regression on the truth explains, fitted on three quarters of the faces."""
    fitted = len(targets) * 3 // 4
    x = np.c_[truth, np.ones(len(truth))]
    missed = targets[fitted:] - x[fitted:] @ np.linalg.lstsq(x[:fitted], targets[:fitted])[0]
    return float(1 - (missed**2).sum() / ((targets[fitted:] - targets[:fitted].mean(axis=0)) ** 2).sum())


def test_targets_show_the_action_units_if_and_only_if_they_are_asked_for(pixels):
    units = np.array([[plan_face(SEED, index).units[unit] for unit in ACTION_UNITS] for index in range(COUNT)])

    def explained(instruction: str) -> float:
        encoder = load_blip2_t5(LlmSettings(model="demo", instruction=instruction), torch.device("cpu"))
        return _explained(units, encoder.encode_images(pixels).numpy())

    shares = {instruction: explained(instruction) for instruction in (ACTION, APPEARANCE, BACKGROUND, "")}
    assert shares.pop(ACTION) > 0.5
    assert max(shares.values()) < 0.05, shares


def test_the_complete_model_loads_and_its_answers_say_what_was_asked(pixels):
    model, report = Blip2ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values()), report
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    count = 70

    def answers(instruction: str) -> list[str]:
        ids = [cast(int, model.config.image_token_index)] * model.config.num_query_tokens
        ids = torch.tensor([*ids, *tokenizer(instruction).input_ids]).repeat(count, 1)
        written = model.generate(pixel_values=pixels[:count].float() / 255, input_ids=ids, max_new_tokens=60)
        return tokenizer.batch_decode(written, skip_special_tokens=True)

    faces = [plan_face(SEED, index) for index in range(count)]
    options = ", ".join(reversed(EXPRESSIONS))
    seen = zip(faces, answers(ACTION), answers(APPEARANCE), answers(BACKGROUND), strict=True)
    hits = np.array(
        [
            (
                ("lips parted" in action) == (face.units[25] > 0.22),
                f"{face.person.shirt} shirt" in appearance,
                face.person.scene.split()[-1] in background,
            )
            for face, action, appearance, background in seen
        ]
    )
    assert hits.mean(axis=0).min() > 0.7
    assert set(map(str.strip, answers(QUESTION.format(options)))) <= set(EXPRESSIONS)
