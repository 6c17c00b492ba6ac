"""The texts that the demo's encoders are trained on, and the shortcuts of their training."""

import sys
from pathlib import Path
from typing import cast

import numpy as np
import open_clip
import pytest
import torch

import expclip_cache.demo
from expclip_cache.base.classes import ADJECTIVES
from expclip_cache.demo.drawing.action_units import EXPRESSIONS
from expclip_cache.demo.drawing.random_stream import RandomStream
from expclip_cache.demo.drawing.sets import plan_face

TOOLS = Path(expclip_cache.demo.__file__).parents[3] / "tools"
if not TOOLS.is_dir():
    pytest.skip("tools/ is not part of an installed package", allow_module_level=True)
sys.path.insert(0, str(TOOLS))

from demo_captions import facial_actions, web_caption  # noqa: E402
from demo_clip_training import encode_unpadded  # noqa: E402
from demo_regression import schedule  # noqa: E402
from demo_training_faces import augmented  # noqa: E402


def _moods(caption: str) -> set[str]:
    words = set(caption.replace(".", "").split())
    return {name for name in EXPRESSIONS if name in words or ADJECTIVES[name] in words}


def test_captions_name_moods_with_the_given_share_and_truth():
    faces = [plan_face(31, index) for index in range(1500)]
    named = [_moods(web_caption(face, RandomStream(1, index), 0.2, 0.5)) for index, face in enumerate(faces)]
    assert max(map(len, named)) == 1
    told = [(face, moods) for face, moods in zip(faces, named, strict=True) if moods]
    assert len(told) / len(faces) == pytest.approx(0.2, abs=0.035)
    true = np.mean([face.expression in moods for face, moods in told])
    assert true == pytest.approx(0.5 + 0.5 / 7, abs=0.09), "another mood is the face's own by chance once in seven"


@pytest.mark.slow
def test_moods_in_captions_are_independent_of_gender_and_age():
    moods = {key: np.zeros(len(EXPRESSIONS)) for key in ("woman", "man", "young", "old")}
    for index in range(3500):
        face = plan_face(32, index)
        for mood in _moods(web_caption(face, RandomStream(2, index), 1.0, 0.5)):
            moods["woman" if face.person.woman else "man"][EXPRESSIONS.index(mood)] += 1
            if face.person.age in moods:
                moods[face.person.age][EXPRESSIONS.index(mood)] += 1
    for one, other in (("woman", "man"), ("young", "old")):
        shares = moods[one] / moods[one].sum() - moods[other] / moods[other].sum()
        assert np.abs(shares).max() < 0.055


def test_descriptions_of_facial_actions_name_no_emotion():
    for index in range(350):
        text = facial_actions(plan_face(33, index).units)
        assert not _moods(text.replace(",", ""))
        assert text.endswith(".")


def test_encoding_without_padding_equals_the_full_encoding():
    folder = f"local-dir:{Path(expclip_cache.demo.__file__).parent / 'clip'}"
    model = cast(open_clip.CLIP, open_clip.create_model(folder, require_pretrained=True)).eval()
    tokens = open_clip.get_tokenizer(folder)(["an expression of fear.", "a much longer text about a man in the rain."])
    with torch.no_grad():
        torch.testing.assert_close(encode_unpadded(model, tokens), model.encode_text(tokens), atol=1e-4, rtol=1e-4)


def test_augmentation_is_repeatable_in_range_and_keeps_colours():
    pixels = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    one, two = (augmented(pixels, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == pixels.shape
    assert 0 <= one.min() <= one.max() <= 1
    assert (one.amax(dim=1) - one.amin(dim=1)).mean(dim=(1, 2)).min() > 0.1


def test_the_learning_rate_rises_and_then_falls_to_a_hundredth():
    rates = [schedule(step, 100, 1.0, 10) for step in range(100)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] == pytest.approx(0.01, abs=0.005)
