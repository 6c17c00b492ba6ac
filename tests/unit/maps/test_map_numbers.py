"""What is said beside a map: neighbours against scikit-learn and plain loops, the choice of items, the directions."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from expclip_cache.maps import neighbours
from expclip_cache.maps.directions import centred, directions
from expclip_cache.maps.layout import layout
from expclip_cache.maps.neighbours import kept_share, nearest, own_class_chance, own_class_share
from expclip_cache.maps.sample import stratified_sample

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize(("m", "k", "block"), [(50, 10, 7), (50, 10, 1024), (5, 4, 2), (3, 1, 1)])
def test_the_nearest_are_those_that_scikit_learn_finds(m, k, block, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    points = RANDOM.normal(size=(m, 6)).astype(np.float32)
    expected = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points.astype(float))
    assert np.array_equal(nearest(points, k), expected.kneighbors(return_distance=False, n_neighbors=k))


def test_between_unit_vectors_the_nearest_have_the_largest_cosines():
    points = RANDOM.normal(size=(40, 5))
    distances = pairwise_distances(points, metric="cosine")
    np.fill_diagonal(distances, np.inf)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert np.array_equal(nearest(unit, 6), distances.argsort(axis=1)[:, :6])


def plain_own_class_share(points: np.ndarray, labels: np.ndarray, k: int) -> float:
    """One item at a time."""
    shares: dict[int, list[float]] = {}
    for item, label in enumerate(labels):
        others = sorted((float(((point - points[item]) ** 2).sum()), j) for j, point in enumerate(points) if j != item)
        count = min(k, Counter(labels)[label] - 1)
        if count:
            same = [labels[j] == label for _, j in others[:k]][:count]
            shares.setdefault(label, []).append(np.mean(same))
    return 100 * float(np.mean([np.mean(values) for values in shares.values()]))


@pytest.mark.parametrize("seed", range(4))
def test_the_share_of_the_own_class_follows_its_definition(seed):
    random = np.random.default_rng(seed)
    labels = random.choice(5, 60, p=[0.5, 0.3, 0.1, 0.08, 0.02])
    points = random.normal(size=(5, 4))[labels] + random.normal(size=(60, 4))
    share = own_class_share(nearest(points, 10), labels)
    assert share == pytest.approx(plain_own_class_share(points, labels, 10))


def test_classes_apart_have_only_their_own_neighbours_however_small_they_are():
    labels = np.repeat([0, 1, 2, 4], [30, 12, 2, 1])
    points = 100.0 * np.eye(5)[labels] + RANDOM.normal(size=(45, 5))
    assert own_class_share(nearest(points, 10), labels) == 100
    assert np.isnan(own_class_share(nearest(points[:3], 2), np.arange(3)))


def test_the_share_by_chance_is_that_of_random_places():
    labels = np.repeat([0, 1, 2], [60, 25, 15])
    shares = [own_class_share(nearest(RANDOM.normal(size=(100, 3)), 10), labels) for _ in range(200)]
    assert own_class_chance(labels) == pytest.approx(np.mean(shares), abs=0.5)


def test_the_share_that_is_kept_counts_common_neighbours():
    before, after = np.array([[1, 2], [0, 2], [1, 0]]), np.array([[2, 1], [2, 3], [3, 4]])
    assert kept_share(before, after) == pytest.approx(100 * 3 / 6)
    assert kept_share(before, before) == 100


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(1, 100), st.integers(0, 5))
def test_a_sample_has_every_class_in_proportion(labels, items, seed):
    labels = np.array(labels)
    chosen = stratified_sample(labels, items, seed)
    assert len(chosen) == min(items, len(labels))
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, stratified_sample(labels, items, seed))
    if items >= len(set(labels)):
        assert set(labels[chosen]) == set(labels)
        share = len(chosen) / len(labels)
        for label, count in Counter(labels.tolist()).items():
            assert abs((labels[chosen] == label).sum() - share * count) <= len(set(labels))


def test_another_seed_chooses_other_items():
    labels = np.zeros(200, dtype=int)
    assert not np.array_equal(stratified_sample(labels, 50, 1), stratified_sample(labels, 50, 2))


@pytest.mark.parametrize("head", [None, RANDOM.normal(size=(9, 6))], ids=["plain CLIP", "head"])
def test_directions_have_the_angles_of_the_projected_features(head):
    images, prompts, classes = RANDOM.normal(size=(8, 6)), RANDOM.normal(size=(5, 6)), np.array([0, 0, 1, 2, 2])
    x, p = directions(images.astype("f4"), prompts.astype("f4"), classes, head)
    project = np.eye(6) if head is None else head
    wide = [project @ image / np.linalg.norm(project @ image) for image in images]
    texts = np.array([project @ text / np.linalg.norm(project @ text) for text in prompts])
    means = [texts[classes == label].mean(axis=0) for label in range(3)]
    assert x @ x.T == pytest.approx(np.array(wide) @ np.array(wide).T, abs=1e-5)
    assert x @ p.T == pytest.approx(np.array(wide) @ np.array(means).T, abs=1e-5)


def test_centred_vectors_have_unit_length_and_a_mean_becomes_zero():
    vectors = RANDOM.normal(size=(7, 3)) + 5
    assert np.linalg.norm(centred(vectors), axis=1) == pytest.approx(np.ones(7))
    assert np.array_equal(centred(vectors[:1]), np.zeros((1, 3)))


def test_a_layout_keeps_what_is_near_and_is_the_same_with_the_same_seed():
    labels = np.repeat([0, 1, 2], 30)
    vectors = 10.0 * np.eye(8)[labels] + RANDOM.normal(size=(90, 8))
    places = layout(vectors, 1)
    assert places.shape == (90, 2)
    assert own_class_share(nearest(places, 10), labels) == 100
    assert np.array_equal(places, layout(vectors, 1))


@pytest.mark.parametrize("m", [3, 4, 5, 10])
def test_few_vectors_have_places_of_their_own(m):
    places = layout(RANDOM.normal(size=(m, 4)), 1)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == m
