"""The held-out loss in width d against the contrastive loss in width t; the rule; which rows are held out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.heads.loss import contrastive_loss
from expclip_cache.heads.ridge.lambda_choice import (
    HALVINGS,
    HeldOutLosses,
    choose_lambda,
    even_batches,
    held_out_losses,
    is_held_out,
)
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.ridge_path import RidgePath

LAMBDAS = [1e-4, 1e-2, 0.1, 1.0, 5.0]


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 8)) + 2 * random.normal(size=8)
    Y = X @ random.normal(size=(8, 20)) + 2 * random.normal(size=(300, 20))
    X, Y = X.astype("f2"), Y.astype("f2")
    moments = Moments(8, 20)
    moments.add_rows(X[:200], Y[:200])
    return RidgePath(moments), X[200:], Y[200:]


@pytest.mark.parametrize("logit_scale", [0.7, 160.0])
def test_it_is_the_contrastive_loss_at_the_best_of_its_scales(fitted, logit_scale):
    path, X, Y = fitted
    found = held_out_losses(path, LAMBDAS, [(X[:60], Y[:60]), (X[60:], Y[60:])], logit_scale)
    x, y = torch.from_numpy(X).double(), torch.from_numpy(Y).double()
    expected = {}
    for scale in (logit_scale / 2**k for k in range(HALVINGS)):
        losses = []
        for value in LAMBDAS:
            W = torch.from_numpy(path.head(value))
            first, second = (
                contrastive_loss(x[rows] @ W.T, y[rows], scale).item() for rows in (slice(0, 60), slice(60, 100))
            )
            losses.append(0.6 * first + 0.4 * second)
        expected[scale] = losses
    assert found.logit_scale == min(expected, key=lambda scale: min(expected[scale]))
    np.testing.assert_allclose(found.losses, expected[found.logit_scale], atol=1e-4)
    assert found.chance == pytest.approx(0.6 * np.log(60) + 0.4 * np.log(40))
    assert found.lambdas == tuple(LAMBDAS)


def test_mismatched_targets_do_no_better_than_chance(fitted):
    path, X, Y = fitted
    right = held_out_losses(path, LAMBDAS, [(X, Y)], 20.0)
    wrong = held_out_losses(path, LAMBDAS, [(X, np.roll(Y, 1, axis=0))], 20.0)
    assert wrong.losses.min() > wrong.chance - 0.1
    assert right.losses.min() < right.chance - 2


def test_no_head_better_than_chance_is_an_error():
    found = HeldOutLosses((0.1, 1.0), np.array([5.1, 5.0]), 12.5, 5.0)
    with pytest.raises(DataError, match=r"the best loss is 5\.000 nats, chance 5\.000"):
        choose_lambda(found, 0.03)


def test_no_held_out_rows_is_an_error(fitted):
    with pytest.raises(DataError, match="no row is held out"):
        held_out_losses(fitted[0], LAMBDAS, [], 20.0)


def test_the_rule_takes_the_largest_lambda_within_the_tolerance():
    """Chance is 5 nats and the best gain 2, of which a share of 0.01 is 0.02 nats."""
    losses = np.array([3.1, 3.0, 3.015, 3.02, 3.5])
    found = HeldOutLosses(tuple(LAMBDAS), losses, 12.5, 5.0)
    assert choose_lambda(found, 0.0) == 1e-2
    assert choose_lambda(found, 0.009) == 0.1
    assert choose_lambda(found, 0.011) == 1.0
    assert choose_lambda(HeldOutLosses(tuple(LAMBDAS[::-1]), losses[::-1], 12.5, 5.0), 0.011) == 1.0


@given(rows=st.integers(1, 5000), share=st.floats(0.01, 0.9))
def test_any_run_of_rows_has_its_share_held_out(rows, share):
    mask = is_held_out(np.arange(rows), share)
    assert abs(mask.sum() - rows * share) <= 1
    half = is_held_out(np.arange(rows // 2, rows), share)
    assert (half == mask[rows // 2 :]).all()


def test_share_zero_holds_out_no_rows():
    assert not is_held_out(np.arange(1000), 0.0).any()


@given(rows=st.integers(2, 2000), size=st.integers(2, 300))
def test_batches_hold_every_row_once_and_are_of_even_size(rows, size):
    batches = even_batches(np.arange(rows), size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    lengths = [len(batch) for batch in batches]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= min(rows, 2 * size / 3 - 1)
