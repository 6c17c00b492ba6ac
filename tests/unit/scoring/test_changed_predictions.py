"""Percentages against the softmax formula; counts and examples of changed predictions against plain counting."""

import numpy as np

from expclip_cache.scoring.changed_predictions import MAX_EXAMPLES, prediction_changes
from expclip_cache.scoring.percentages import softmax_percent


def test_percentages_are_a_softmax():
    similarities = np.array([[0.3, 0.2, 0.1]], dtype=np.float32)
    powers = np.exp(100 * similarities.astype(np.float64))
    np.testing.assert_allclose(softmax_percent(similarities, 100.0), 100 * powers / powers.sum())


def test_percentages_do_not_overflow():
    assert np.isfinite(softmax_percent(np.array([[1.0, -1.0]]), 1e6)).all()


def test_counts_add_up_and_examples_match_their_kind():
    random = np.random.default_rng(3)
    truth = np.repeat(np.arange(4), 50)
    clip, head = (100 * random.dirichlet(np.ones(4), 200) for _ in range(2))
    found = prediction_changes(truth, clip, head, [f"{row}.png" for row in range(200)])
    assert sum(found["counts"].values()) == 200
    assert found["counts"]["fixed"] == sum(
        c.argmax() != t and h.argmax() == t for c, h, t in zip(clip, head, truth, strict=True)
    )
    for item in found["fixed"]:
        assert np.argmax(item["clip"]) != item["truth"]
        assert np.argmax(item["expclip"]) == item["truth"]
    assert [item["truth"] for item in found["fixed"][:8]] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len(found["fixed"]) == MAX_EXAMPLES


def test_the_largest_change_comes_first():
    clip = np.array([[40.0, 60.0], [10.0, 90.0], [30.0, 70.0]])
    head = np.array([[60.0, 40.0], [95.0, 5.0], [80.0, 20.0]])
    found = prediction_changes(np.zeros(3, dtype=int), clip, head, ["a", "b", "c"])
    assert [item["path"] for item in found["fixed"]] == ["b", "c", "a"]
    assert found["broken"] == []
