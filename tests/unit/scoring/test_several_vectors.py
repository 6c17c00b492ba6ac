"""Items of several vectors against the rule written out in plain NumPy."""

import numpy as np
import pytest

from expclip_cache.cache.layout import RowLayout
from expclip_cache.scoring import several_vectors
from expclip_cache.scoring.class_index import class_index
from expclip_cache.scoring.prompt_index import PromptIndex

D, T, P, C = 6, 9, 8, 4
CLASSES = np.arange(P) % C


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def by_hand(rows, frames, vectors, prompts, head, aggregation):
    """One item, frame, vector, class and prompt at a time."""
    project = (lambda v: v) if head is None else (lambda v: head @ v)
    found = np.zeros((len(rows), C))
    for item, row in enumerate(rows.astype(np.float64)):
        of_item = row.reshape(frames, vectors, D)
        for label in range(C):
            texts = [project(prompt) for prompt in prompts[label == CLASSES].astype(np.float64)]
            units = [text / np.linalg.norm(text) for text in texts]
            if aggregation == "renorm_mean":
                mean = np.mean(units, axis=0)
                units = [mean / np.linalg.norm(mean)]
            to_prompts = [
                np.mean([max(cosine(project(vector), unit) for vector in frame) for frame in of_item]) for unit in units
            ]
            found[item, label] = max(to_prompts) if aggregation == "nearest" else np.mean(to_prompts)
    return found


@pytest.mark.parametrize("aggregation", ["mean", "renorm_mean", "nearest"])
@pytest.mark.parametrize("with_head", [False, True])
@pytest.mark.parametrize(("frames", "vectors"), [(1, 5), (3, 1), (3, 5)])
def test_the_best_of_an_images_vectors_counts_and_a_clip_has_its_frames_mean(
    frames, vectors, with_head, aggregation, monkeypatch
):
    random = np.random.default_rng(frames * 10 + vectors)
    rows = random.normal(size=(7, frames * vectors * D)).astype(np.float32)
    prompts = random.normal(size=(P, D)).astype(np.float32)
    head = random.normal(size=(T, D)).astype(np.float32) if with_head else None
    index = class_index(RowLayout(frames, vectors, D, "best-vector"), prompts, CLASSES, head, aggregation)
    expected = by_hand(rows, frames, vectors, prompts, head, aggregation)
    predicted, similarities = index.predict(rows)
    np.testing.assert_allclose(similarities, expected, atol=1e-5)
    np.testing.assert_array_equal(predicted, expected.argmax(axis=1))
    np.testing.assert_array_equal(index.classify(rows), predicted)
    np.testing.assert_array_equal(index.predict(rows, index.norms(rows))[1], similarities)
    monkeypatch.setattr(several_vectors, "NUMBERS", 2 * rows.shape[1])
    np.testing.assert_allclose(index.predict(rows)[1], similarities, atol=1e-6)


def test_rows_of_one_vector_are_searched_by_faiss():
    prompts = np.eye(P, D, dtype=np.float32) + 0.1
    assert isinstance(class_index(RowLayout(1, 1, D, "best-vector"), prompts, CLASSES), PromptIndex)
