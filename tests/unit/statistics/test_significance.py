"""McNemar's test and Holm's correction, against statsmodels and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from expclip_cache.statistics.significance import McNemar, holm, mcnemar


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_equals_statsmodels(seed):
    random = np.random.default_rng(seed)
    first, second = random.random((2, 200)) < np.array([[0.6], [0.5]])
    table = [[int(np.sum((first == a) & (second == b))) for b in (True, False)] for a in (True, False)]
    found = mcnemar(first[None], second[None])
    assert (found.only_first, found.only_second) == (table[0][1], table[1][0])
    assert found.p == pytest.approx(their_mcnemar(table, exact=True).pvalue)


def test_mcnemar_of_equal_and_of_opposite_classifiers():
    right = np.arange(10) < 5
    assert mcnemar(right[None], right[None]) == McNemar(0, 0, 1.0)
    assert mcnemar(np.ones((1, 10), bool), np.zeros((1, 10), bool)) == McNemar(10, 0, pytest.approx(2 * 0.5**10))


def test_of_several_seeds_the_pair_with_the_largest_p_counts():
    random = np.random.default_rng(1)
    first, second = random.random((3, 100)) < 0.7, random.random((2, 100)) < 0.5
    pairs = [
        (int(np.sum(a & ~b)), int(np.sum(~a & b)), binomtest(int(np.sum(a & ~b)), int(np.sum(a != b))).pvalue)
        for a in first
        for b in second
    ]
    found = mcnemar(first, second)
    assert found.p == pytest.approx(max(p for *_, p in pairs))
    assert (found.only_first, found.only_second) == max(pairs, key=lambda pair: pair[2])[:2]


@settings(max_examples=20, deadline=None)  # statsmodels takes a twentieth of a second
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []
