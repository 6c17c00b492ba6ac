"""Texts that are conditioned by the clip, against transformers' own X-CLIP."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from transformers import XCLIPModel

from expclip_cache.base.errors import CacheError
from expclip_cache.cache.layout import RowLayout
from expclip_cache.scoring import conditioned_text
from expclip_cache.scoring.class_index import class_index
from expclip_cache.scoring.text_conditioning import TextConditioning
from tiny_x_clip import D, x_clip_config

P, C, TOKENS, T = 9, 3, 16, 20
CLASSES = np.arange(P) % C
LAYOUT = RowLayout(1, 1 + TOKENS, D, "conditioned-text")


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(2)
    generator = XCLIPModel(x_clip_config()).prompts_generator.eval().requires_grad_(False)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return generator


@pytest.fixture(scope="module")
def conditioning(generator):
    weights = {name: tensor.numpy() for name, tensor in generator.state_dict().items()}
    numbers = {"heads": np.array([4]), "visual_eps": np.array([1e-5]), "text_eps": np.array([1e-5])}
    return TextConditioning(save(weights | numbers))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(3).normal(size=(7, (1 + TOKENS) * D)).astype(np.float32)


@pytest.fixture(scope="module")
def prompts():
    return np.random.default_rng(4).normal(size=(P, D)).astype(np.float32)


def conditioned(generator, rows, prompts):
    """(n, p, d), by transformers."""
    visual = torch.from_numpy(rows.reshape(len(rows), 1 + TOKENS, D)[:, 1:])
    texts = torch.from_numpy(prompts).expand(len(rows), -1, -1)
    return (texts + generator(texts, visual)).numpy()


def test_the_layers_are_those_of_transformers(generator, conditioning, rows, prompts):
    found = conditioning(prompts, rows.reshape(len(rows), 1 + TOKENS, D)[:, 1:])
    np.testing.assert_allclose(found, conditioned(generator, rows, prompts), atol=1e-4)


@pytest.mark.parametrize("aggregation", ["mean", "renorm_mean", "nearest"])
@pytest.mark.parametrize("with_head", [False, True])
def test_an_item_is_compared_with_the_texts_as_they_are_for_it(
    generator, conditioning, rows, prompts, with_head, aggregation, monkeypatch
):
    head = np.random.default_rng(5).normal(size=(T, D)).astype(np.float32) if with_head else None
    index = class_index(LAYOUT, prompts, CLASSES, head, aggregation, conditioning)
    predicted, similarities = index.predict(rows)
    projection = np.eye(D) if head is None else head.astype(np.float64)
    expected = np.zeros((len(rows), C))
    for item, (row, texts) in enumerate(zip(rows, conditioned(generator, rows, prompts), strict=True)):
        video = projection @ row[:D]
        video /= np.linalg.norm(video)
        units = [projection @ text / np.linalg.norm(projection @ text) for text in texts.astype(np.float64)]
        for label in range(C):
            own = np.stack([unit for unit, of in zip(units, CLASSES, strict=True) if of == label])
            if aggregation == "nearest":
                expected[item, label] = (own @ video).max()
            else:
                mean = own.mean(axis=0)
                expected[item, label] = video @ mean / (np.linalg.norm(mean) if aggregation == "renorm_mean" else 1)
    np.testing.assert_allclose(similarities, expected, atol=1e-5)
    np.testing.assert_array_equal(predicted, expected.argmax(axis=1))
    np.testing.assert_array_equal(index.classify(rows), predicted)
    np.testing.assert_array_equal(index.predict(rows, index.norms(rows))[1], similarities)
    monkeypatch.setattr(conditioned_text, "NUMBERS", 1)
    np.testing.assert_allclose(index.predict(rows)[1], similarities, atol=1e-6)


def test_another_clip_changes_what_the_texts_are(conditioning, rows, prompts):
    """The same clip vector with other patches is another item: its classes may be others."""
    index = class_index(LAYOUT, prompts, CLASSES, None, "mean", conditioning)
    others = rows.copy()
    others[:, D:] = rows[::-1, D:]
    first, second = index.predict(rows)[1], index.predict(others)[1]
    assert np.abs(first - second).max() > 0.05


def test_prompts_without_the_weights_are_refused(prompts):
    with pytest.raises(CacheError, match=r"no weights that condition them.*Encode the prompts again"):
        class_index(LAYOUT, prompts, CLASSES)


@pytest.mark.parametrize("weights", [b"", b"no safetensors file", save({"heads": np.array([4.0])})])
def test_other_weights_are_refused(weights):
    with pytest.raises(CacheError, match=r"not those of an X-CLIP's text layers .*Encode the prompts again"):
        TextConditioning(weights)
