"""Scoring in CLIP's width with FAISS equals plain NumPy in the LLM's width."""

import numpy as np
import pytest

from expclip_cache.scoring.prompt_index import PromptIndex


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def parts():
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(5), 4)
    return {
        "images": random.normal(size=(300, 16)).astype(np.float32),
        "texts": random.normal(size=(20, 16)).astype(np.float32),
        "classes": random.permutation(classes),
        "head": random.normal(size=(64, 16)).astype(np.float32),
        "steep": (random.normal(size=(64, 16)) * 10.0 ** -np.arange(0, 4, 0.25)).astype(np.float32),
        "narrow": random.normal(size=(9, 16)).astype(np.float32),
    }


def naive(parts, head, aggregation):
    """(n, c) similarities by the definition: everything projected to width t, then compared prompt by prompt."""
    W = np.eye(16) if head is None else parts[head].astype(np.float64)
    x, t = unit(parts["images"] @ W.T), unit(parts["texts"] @ W.T)
    columns = []
    for label in range(5):
        own = t[parts["classes"] == label]
        if aggregation == "mean":
            columns.append((x @ own.T).mean(axis=1))
        elif aggregation == "renorm_mean":
            columns.append(x @ unit(own.mean(axis=0)))
        else:
            columns.append((x @ own.T).max(axis=1))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("aggregation", ["mean", "renorm_mean", "nearest"])
@pytest.mark.parametrize("head", [None, "head", "narrow", "steep"])
def test_equals_the_definition(parts, head, aggregation):
    expected = naive(parts, head, aggregation)
    index = PromptIndex(parts["texts"], parts["classes"], head and parts[head], aggregation)
    np.testing.assert_allclose(index.similarities(parts["images"]), expected, atol=2e-6)
    np.testing.assert_array_equal(index.classify(parts["images"]), expected.argmax(axis=1))


def test_the_three_aggregations_give_different_answers(parts):
    answers = [
        PromptIndex(parts["texts"], parts["classes"], parts["head"], kind).classify(parts["images"]).tolist()
        for kind in ("mean", "renorm_mean", "nearest")
    ]
    assert answers[0] != answers[1]
    assert answers[1] != answers[2]
    assert answers[0] != answers[2]


def test_the_norm_of_a_feature_does_not_matter(parts):
    index = PromptIndex(parts["texts"], parts["classes"], parts["head"])
    np.testing.assert_array_equal(index.classify(parts["images"]), index.classify(7 * parts["images"]))


def test_a_zero_feature_has_similarity_zero(parts):
    index = PromptIndex(parts["texts"], parts["classes"], parts["head"])
    assert (index.similarities(np.zeros((2, 16), dtype=np.float32)) == 0).all()


def test_one_prompt_per_class_in_any_order(parts):
    classes = np.array([2, 0, 1])
    index = PromptIndex(parts["texts"][:3], classes, parts["head"], "nearest")
    found = index.similarities(parts["images"])
    sorted_texts = parts["texts"][:3][np.argsort(classes)]
    expected = PromptIndex(sorted_texts, np.arange(3), parts["head"]).similarities(parts["images"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(index.classify(parts["images"]), found.argmax(axis=1))
