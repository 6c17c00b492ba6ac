"""Folds, held-out parts and draws: stratified, reproducible, and every item where it belongs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.probes.splits import drawn, held_out, stratified_folds

COUNTS = st.lists(st.integers(0, 30), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(len(counts)).permutation(np.repeat(np.arange(len(counts)), counts))


@given(COUNTS, st.integers(2, 7))
def test_folds_have_as_many_items_of_a_class_and_as_many_items_give_or_take_one(counts, folds):
    labels = labels_of(counts)
    found = stratified_folds(labels, folds, [1])
    assert np.array_equal(found, stratified_folds(labels, folds, [1]))
    for members in (np.ones(len(labels), dtype=bool), *(labels == label for label in range(len(counts)))):
        sizes = np.bincount(found[members], minlength=folds)
        assert sizes.sum() == members.sum()
        assert np.ptp(sizes) <= 1


@given(COUNTS)
def test_a_part_is_held_out_of_every_class_and_something_left(counts):
    labels = labels_of(counts)
    tested = held_out(labels, 0.2, [1])
    for label, count in enumerate(counts):
        out = int(tested[labels == label].sum())
        assert out == (max(round(0.2 * count), 1) if count > 1 else 0)
        assert out < max(count, 1)


@given(COUNTS, st.integers(1, 9))
def test_a_draw_has_as_many_of_every_class_and_is_part_of_a_larger_one(counts, shots):
    labels = labels_of(counts)
    found = drawn(labels, shots, [1, 2])
    assert len(set(found.tolist())) == len(found)
    assert np.array_equal(np.bincount(labels[found], minlength=len(counts)), np.minimum(counts, shots))
    assert set(found.tolist()) <= set(drawn(labels, shots + 3, [1, 2]).tolist())


def test_another_seed_gives_other_parts():
    labels = labels_of([20, 20])
    assert not np.array_equal(stratified_folds(labels, 5, [1]), stratified_folds(labels, 5, [2]))
    assert not np.array_equal(held_out(labels, 0.2, [1]), held_out(labels, 0.2, [2]))
    assert not np.array_equal(drawn(labels, 2, [1, 0]), drawn(labels, 2, [1, 1]))
