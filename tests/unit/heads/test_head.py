"""The head against an independent implementation in plain NumPy float64."""

from itertools import product

import numpy as np
import pytest
import torch

from expclip_cache.base.errors import SettingsError
from expclip_cache.heads.contrastive import Recipe, fit_heads, initial_weights
from expclip_cache.heads.settings import TrainSettings
from paper_loss import contrastive_loss

CPU = torch.device("cpu")


def numpy_loss_and_gradient(W, X, Y, s):
    """Loss and dW for one batch; X (b, d) raw, Y (b, t) raw; everything float64."""
    Z = X @ W.T
    lengths = np.linalg.norm(Z, axis=1, keepdims=True)
    U = Z / lengths
    V = Y / np.linalg.norm(Y, axis=1, keepdims=True)
    L = s * U @ V.T
    b = len(X)
    rows = np.exp(L - L.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    columns = np.exp(L - L.max(axis=0, keepdims=True))
    columns /= columns.sum(axis=0, keepdims=True)
    diagonal = np.arange(b)
    loss = -(np.log(rows[diagonal, diagonal]).mean() + np.log(columns[diagonal, diagonal]).mean()) / 2
    dL = (rows + columns - 2 * np.eye(b)) / (2 * b)
    dU = s * dL @ V
    dZ = (dU - U * (U * dU).sum(axis=1, keepdims=True)) / lengths
    return loss, dZ.T @ X


def numpy_sgd(W, batches, s, lr, momentum, weight_decay):
    """SGD with momentum and weight decay as PyTorch defines it; yields (loss, W) after each step."""
    velocity = None
    for X, Y in batches:
        loss, gradient = numpy_loss_and_gradient(W, X, Y, s)
        gradient = gradient + weight_decay * W
        velocity = gradient if velocity is None else momentum * velocity + gradient
        W = W - lr * velocity
        yield loss, W


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(200, 12)).astype(np.float32), random.normal(size=(200, 20)).astype(np.float32)


def test_fifty_steps_follow_the_numpy_witness(data):
    X, Y = data
    params = TrainSettings(dataset="x", lr=0.05, epochs=10, batch_size=40, weight_decay=1e-2, seeds=(7,))
    heads = fit_heads(X, Y, 20.0, params, CPU)
    shuffler = torch.Generator().manual_seed(7)
    orders = [torch.randperm(200, generator=shuffler).numpy() for _ in range(10)]
    chosen = [order[k * 40 : (k + 1) * 40] for order in orders for k in range(5)]
    W = initial_weights(7, 12, 20).double().numpy()
    batches = [(X[rows].astype(np.float64), Y[rows].astype(np.float64)) for rows in chosen]
    path = list(numpy_sgd(W, batches, 20.0, 0.05, 0.9, 1e-2))
    assert len(path) == 50
    np.testing.assert_allclose(heads.batch_losses[0], [loss for loss, _ in path], rtol=1e-6)
    np.testing.assert_allclose(heads.weights[0], path[-1][1], atol=1e-5)
    assert path[-1][0] < path[0][0]


def test_a_step_is_that_of_automatic_differentiation(data):
    """The gradient is written out by hand; torch derives its own from the loss as the paper states it."""
    X, Y = (torch.from_numpy(values[:60]) for values in data)
    params = TrainSettings(dataset="x", lr=0.5, momentum=0.0, weight_decay=0.0, epochs=1, batch_size=60, seeds=(3,))
    heads = fit_heads(data[0][:60], data[1][:60], 30.0, params, CPU)
    W = initial_weights(3, 12, 20).double().requires_grad_()
    loss = contrastive_loss(W, X.double(), Y.double(), 30.0)
    loss.backward()
    np.testing.assert_allclose(heads.batch_losses[0, 0], loss.item(), rtol=1e-6)
    np.testing.assert_allclose(heads.weights[0], (W - 0.5 * W.grad).detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_seed_gives_the_same_head_alone_and_in_company(data):
    X, Y = data
    together = fit_heads(X, Y, 10.0, TrainSettings(dataset="x", batch_size=50, seeds=(1, 2, 3)), CPU)
    alone = fit_heads(X, Y, 10.0, TrainSettings(dataset="x", batch_size=50, seeds=(2,)), CPU)
    np.testing.assert_allclose(together.weights[1], alone.weights[0], atol=1e-6)
    assert np.abs(together.weights[0] - together.weights[1]).max() > 0.1


def test_a_sweep_gives_the_heads_that_single_runs_give(data):
    """Learning rate, weight decay, seed and teacher differ; one batched problem."""
    X, Y = data
    other = Y[::-1].copy()
    params = TrainSettings(dataset="x", batch_size=50, epochs=3)
    recipes = [
        Recipe(seed, lr, decay, teacher)
        for seed, lr, decay, teacher in product((1, 2), (0.01, 0.3), (1e-4, 1e-1), (0, 1))
    ]
    together = fit_heads(X, np.concatenate([Y, other]), 10.0, params, CPU, recipes=recipes, teachers=2)
    for number, recipe in enumerate(recipes):
        single = params.model_copy(
            update={"lr": recipe.lr, "weight_decay": recipe.weight_decay, "seeds": (recipe.seed,)}
        )
        alone = fit_heads(X, (Y, other)[recipe.teacher], 10.0, single, CPU)
        np.testing.assert_allclose(together.weights[number], alone.weights[0], atol=1e-5)
        np.testing.assert_allclose(together.losses[number], alone.losses[0], atol=1e-5)
    assert len({weights.tobytes() for weights in together.weights}) == len(recipes)


def test_two_runs_are_bit_identical(data):
    X, Y = data
    params = TrainSettings(dataset="x", batch_size=50, seeds=(1, 2))
    assert fit_heads(X, Y, 10.0, params, CPU).weights.tobytes() == fit_heads(X, Y, 10.0, params, CPU).weights.tobytes()


def test_the_last_partial_batch_is_dropped(data):
    X, Y = data
    heads = fit_heads(X, Y, 10.0, TrainSettings(dataset="x", batch_size=150, epochs=3, seeds=(1,)), CPU)
    assert heads.batch_losses.shape == (1, 3)


def test_too_few_rows_for_one_batch(data):
    X, Y = data
    with pytest.raises(SettingsError, match="batch_size is 512, but only 200 images"):
        fit_heads(X, Y, 10.0, TrainSettings(dataset="x"), CPU)


def test_the_start_is_that_of_a_linear_layer():
    W = initial_weights(1, 100, 50)
    assert W.abs().max() <= 0.1
    assert W.abs().max() > 0.099
    assert abs(W.std().item() - 0.1 / 3**0.5) < 0.002


def test_streamed_rows_give_the_same_head(data):
    X, Y = data
    params = TrainSettings(dataset="x", batch_size=50, epochs=2, seeds=(1, 2))
    resident = fit_heads(X, Y, 10.0, params, CPU)
    streamed = fit_heads(X, Y, 10.0, params, CPU, resident=False)
    assert resident.weights.tobytes() == streamed.weights.tobytes()


def test_an_epoch_learns_from_its_own_draw(data):
    X, Y = data
    other = Y[::-1].copy()
    params = TrainSettings(dataset="x", batch_size=50, epochs=2, seeds=(1,))
    draws = fit_heads(X, np.concatenate([Y, other]), 10.0, params, CPU)
    first, second = fit_heads(X, Y, 10.0, params, CPU), fit_heads(X, other, 10.0, params, CPU)
    assert draws.losses[0, 0] == first.losses[0, 0]
    assert draws.losses[0, 0] != second.losses[0, 0]
    assert draws.losses[0, 1] != first.losses[0, 1]


def test_targets_that_are_no_whole_draws(data):
    X, Y = data
    with pytest.raises(ValueError, match="150 targets are no whole number of draws for 200"):
        fit_heads(X, Y[:150], 10.0, TrainSettings(dataset="x", batch_size=50), CPU)
