"""The closed form against `numpy.linalg.lstsq` on the augmented system."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.ridge_path import RidgePath
from expclip_cache.heads.ridge.stacking import stack_heads
from ridge_witness import features, relative_error, witness


def path_of(X, Y) -> RidgePath:
    moments = Moments(X.shape[1], Y.shape[1])
    moments.add_rows(X, Y)
    return RidgePath(moments)


@given(
    rows=st.integers(1, 80),
    d=st.integers(1, 12),
    t=st.integers(1, 15),
    seed=st.integers(0, 1000),
    exponent=st.floats(-4, 1),
)
def test_the_head_solves_the_augmented_least_squares_problem(rows, d, t, seed, exponent):
    X, Y = features(rows, d, t, seed)
    assert relative_error(path_of(X, Y).head(10**exponent), witness(X, Y, 10**exponent)) < 1e-8


@pytest.mark.parametrize("relative_lambda", [1e-4, 1e-2, 0.1, 1.0, 5.0])
def test_it_does_so_at_a_realistic_size_in_half_precision(relative_lambda):
    X, Y = features(1500, 128, 300, 1)
    X, Y = X.astype("f2"), Y.astype("f2")
    found = path_of(X, Y).head(relative_lambda)
    assert relative_error(found, witness(X.astype("f8"), Y.astype("f8"), relative_lambda)) < 1e-8


def test_collinear_features_are_handled():
    X, Y = features(200, 10, 7, 2)
    X[:, 5:] = X[:, :5]
    assert relative_error(path_of(X, Y).head(1e-3), witness(X, Y, 1e-3)) < 1e-8


@given(scale=st.sampled_from([2.0**-6, 0.5, 4.0, 2.0**10]), relative_lambda=st.sampled_from([1e-3, 0.1, 3.0]))
def test_the_scale_of_the_features_does_not_matter(scale, relative_lambda):
    X, Y = features(100, 6, 8, 3)
    plain, scaled = path_of(X, Y).head(relative_lambda), path_of(scale * X, Y).head(relative_lambda)
    assert relative_error(scaled * scale, plain) < 1e-10


def test_a_larger_lambda_shrinks_the_head_and_increases_the_error():
    X, Y = features(100, 6, 8, 4)
    path = path_of(X, Y)
    Y = Y / np.linalg.norm(Y, axis=1, keepdims=True)
    heads = [path.head(value) for value in (1e-4, 1e-2, 1.0, 100.0)]
    sizes = [np.linalg.norm(W) for W in heads]
    errors = [np.linalg.norm(X @ W.T - Y) for W in heads]
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


def test_the_head_minimises_the_objective():
    X, Y = features(100, 6, 8, 5)
    path = path_of(X, Y)
    Y = Y / np.linalg.norm(Y, axis=1, keepdims=True)
    W, random = path.head(0.1), np.random.default_rng(0)

    def objective(W):
        return np.sum((X @ W.T - Y) ** 2) + 0.1 * path.mean_value * np.sum(W**2)

    assert all(objective(W + 1e-3 * random.normal(size=W.shape)) > objective(W) for _ in range(20))


def test_sums_over_no_rows_are_refused():
    with pytest.raises(DataError, match="of 0 rows are zero"):
        RidgePath(Moments(3, 4))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_sums_over_values_that_are_not_finite_are_refused(wrong, side):
    both = features(10, 3, 4, 0)
    both[side][5, 1] = wrong
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match="of 10 rows are not finite"):
        path_of(*both)


def test_stacked_heads_solve_the_problem_of_concatenated_targets():
    X, Y = features(120, 6, 8, 6)
    other = features(120, 6, 5, 7)[1]
    unit = [y / np.linalg.norm(y, axis=1, keepdims=True) for y in (Y, other)]
    stacked = stack_heads([path_of(X, Y).head(0.1), path_of(X, other).head(0.1)], [0.25, 2.0])
    together = np.concatenate([0.5 * unit[0], np.sqrt(2) * unit[1]], axis=1)
    # `witness` scales rows to unit length; here that divides every row by sqrt(0.25 + 2).
    expected = np.sqrt(2.25) * witness(X, together, 0.1)
    assert relative_error(stacked, expected) < 1e-8


def test_stacking_needs_one_positive_weight_per_head():
    heads = [np.ones((2, 3)), np.ones((4, 3))]
    for weights in ([1.0], [1.0, 0.0], [1.0, 1.0, 1.0]):
        with pytest.raises(DataError, match="expected a positive weight for each of 2 heads"):
            stack_heads(heads, weights)
