"""Sums that do not depend on order, against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from expclip_cache.base.errors import DataError
from expclip_cache.heads.ridge.exact_sum import LARGEST, MOST_TERMS, ExactSum

VALUES = st.floats(-1e9, 1e9, allow_nan=False)


def sum_of(terms) -> ExactSum:
    total = ExactSum(terms[0].shape)
    for term in terms:
        total.add(term.copy())
    return total


def same_bits(a: ExactSum, b: ExactSum) -> bool:
    return a.coarse.tobytes() == b.coarse.tobytes() and a.fine.tobytes() == b.fine.tobytes() and a.terms == b.terms


@given(st.lists(arrays(np.float64, 3, elements=VALUES), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_any_order_and_any_grouping_give_the_same_bits(terms, random):
    whole = sum_of(terms)
    shuffled = random.sample(terms, len(terms))
    cut = random.randint(1, len(terms))
    groups = [sum_of(group) for group in (shuffled[:cut], shuffled[cut:]) if group]
    random.shuffle(groups)
    for group in groups[1:]:
        groups[0].merge(group)
    assert same_bits(groups[0], whole)


@given(st.lists(arrays(np.float64, 1, elements=VALUES), min_size=1, max_size=20))
def test_the_error_is_within_its_bound(terms):
    total = sum_of(terms)
    exact = sum(Fraction(float(term[0])) for term in terms)
    kept = Fraction(float(total.coarse[0])) + Fraction(float(total.fine[0]))
    assert abs(kept - exact) <= Fraction(len(terms), 2**53)
    assert abs(Fraction(float(total.value()[0])) - kept) <= Fraction(float(np.spacing(abs(total.value()[0])))) / 2


def test_plain_sums_do_depend_on_order():
    """What the check above would find without the grid."""
    assert (0.1 + 0.2) + 0.3 != 0.1 + (0.2 + 0.3)
    found = {
        float(sum_of([np.array([term]) for term in terms]).value()[0]) for terms in ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])
    }
    assert len(found) == 1


def test_an_array_longer_than_a_chunk():
    terms = np.random.default_rng(0).normal(size=(3, 2, 50_000))
    np.testing.assert_allclose(sum_of(list(terms)).value(), terms.sum(axis=0), rtol=0, atol=1e-15)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -LARGEST, LARGEST])
def test_what_is_too_large_is_refused(wrong):
    with pytest.raises(DataError, match=r"expected finite sums below 3\.44e\+10"):
        ExactSum((2,)).add(np.array([1.0, wrong]))


def test_sums_that_grow_too_large_are_refused():
    total = sum_of([np.array([0.6 * LARGEST])])
    with pytest.raises(DataError, match="expected finite sums"):
        total.merge(sum_of([np.array([0.6 * LARGEST])]))


def test_too_many_terms_are_refused():
    total = ExactSum((1,))
    total.terms = MOST_TERMS
    with pytest.raises(DataError, match="at most 131072 terms"):
        total.add(np.zeros(1))
