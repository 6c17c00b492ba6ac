"""Contrastive training on arrays, against an independent implementation in plain NumPy float64."""

import threading
from itertools import product

import numpy as np
import pytest
import torch

from expclip_cache.base.errors import SettingsError
from expclip_cache.heads.fused_step import HeadGroup, initial_weights
from expclip_cache.heads.loss import contrastive_loss
from expclip_cache.heads.recipe import Recipe
from expclip_cache.heads.settings import ContrastiveSettings
from expclip_cache.heads.training import train_heads
from numpy_contrastive import numpy_sgd
from torch_threads import torch_threads

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(200, 12)).astype(np.float32), random.normal(size=(200, 20)).astype(np.float32)


def test_fifty_steps_follow_plain_numpy(data):
    X, Y = data
    settings = ContrastiveSettings(lr=0.05, epochs=10, batch_size=40, weight_decay=1e-2, seeds=(7,))
    heads = train_heads(X, Y, 20.0, settings, CPU)
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


def test_the_fused_step_has_the_loss_and_gradient_of_the_plain_loss(data):
    """Of several heads at once; autograd differentiates `contrastive_loss`."""
    X, Y = (torch.from_numpy(values[:120]).reshape(2, 60, -1) for values in data)
    recipes = [Recipe(seed, 1.0, 0.0) for seed in (3, 4)]
    gradient, z, dz = torch.empty(2, 20, 12), torch.empty(2, 60, 20), torch.empty(2, 60, 20)
    group = HeadGroup(recipes, slice(0, 2), 0.0, (gradient, z, dz))
    losses = group.step(X, torch.nn.functional.normalize(Y, dim=-1), 30.0)
    for number, recipe in enumerate(recipes):
        W = initial_weights(recipe.seed, 12, 20).double().requires_grad_()
        loss = contrastive_loss(X[number].double() @ W.T, Y[number].double(), 30.0)
        loss.backward()
        np.testing.assert_allclose(losses[number], loss.item(), rtol=1e-6)
        np.testing.assert_allclose(gradient[number], W.grad, rtol=1e-4, atol=1e-6)


def test_a_step_is_that_of_automatic_differentiation(data):
    X, Y = (torch.from_numpy(values[:60]) for values in data)
    settings = ContrastiveSettings(lr=0.5, momentum=0.0, weight_decay=0.0, epochs=1, batch_size=60, seeds=(3,))
    heads = train_heads(data[0][:60], data[1][:60], 30.0, settings, CPU)
    W = initial_weights(3, 12, 20).double().requires_grad_()
    loss = contrastive_loss(X.double() @ W.T, Y.double(), 30.0)
    loss.backward()
    np.testing.assert_allclose(heads.batch_losses[0, 0], loss.item(), rtol=1e-6)
    np.testing.assert_allclose(heads.weights[0], (W - 0.5 * W.grad).detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_seed_gives_the_same_head_alone_and_among_others(data):
    X, Y = data
    together = train_heads(X, Y, 10.0, ContrastiveSettings(batch_size=50, seeds=(1, 2, 3)), CPU)
    alone = train_heads(X, Y, 10.0, ContrastiveSettings(batch_size=50, seeds=(2,)), CPU)
    np.testing.assert_allclose(together.weights[1], alone.weights[0], atol=1e-6)
    assert np.abs(together.weights[0] - together.weights[1]).max() > 0.1


def test_many_recipes_at_once_give_the_heads_of_single_runs(data):
    """Learning rate, weight decay and seed differ; two draws of the targets take turns."""
    X, Y = data
    Y = np.concatenate([Y, Y[::-1]])
    settings = ContrastiveSettings(batch_size=50, epochs=3)
    recipes = [
        Recipe(seed, lr, weight_decay) for seed, lr, weight_decay in product((1, 2, 3), (0.01, 0.1, 0.3), (1e-4, 1e-1))
    ]
    together = train_heads(X, Y, 10.0, settings, CPU, recipes=recipes)
    for number, recipe in enumerate(recipes):
        single = settings.model_copy(
            update={"lr": recipe.lr, "weight_decay": recipe.weight_decay, "seeds": (recipe.seed,)}
        )
        alone = train_heads(X, Y, 10.0, single, CPU)
        np.testing.assert_allclose(together.weights[number], alone.weights[0], atol=1e-5)
        np.testing.assert_allclose(together.losses[number], alone.losses[0], atol=1e-5)
    assert len({weights.tobytes() for weights in together.weights}) == len(recipes)


def test_two_runs_are_bit_identical(data):
    X, Y = data
    settings = ContrastiveSettings(batch_size=50, seeds=(1, 2))
    first, second = (train_heads(X, Y, 10.0, settings, CPU).weights.tobytes() for _ in range(2))
    assert first == second


def test_the_last_partial_batch_is_dropped(data):
    X, Y = data
    heads = train_heads(X, Y, 10.0, ContrastiveSettings(batch_size=150, epochs=3, seeds=(1,)), CPU)
    assert heads.batch_losses.shape == (1, 3)


def test_fewer_rows_than_a_batch_are_an_error(data):
    X, Y = data
    with pytest.raises(SettingsError, match="batch_size is 512, but only 200 images have features: less than one full"):
        train_heads(X, Y, 10.0, ContrastiveSettings(), CPU)


def test_the_initial_weights_are_those_of_a_linear_layer():
    W = initial_weights(1, 100, 50)
    assert W.abs().max() <= 0.1
    assert W.abs().max() > 0.099
    assert abs(W.std().item() - 0.1 / 3**0.5) < 0.002


def test_streamed_rows_give_the_same_head(data):
    X, Y = data
    settings = ContrastiveSettings(batch_size=50, epochs=2, seeds=(1, 2))
    resident = train_heads(X, Y, 10.0, settings, CPU)
    streamed = train_heads(X, Y, 10.0, settings, CPU, resident=False)
    assert resident.weights.tobytes() == streamed.weights.tobytes()


def test_each_epoch_uses_its_own_draw(data):
    X, Y = data
    other = Y[::-1].copy()
    settings = ContrastiveSettings(batch_size=50, epochs=2, seeds=(1,))
    draws = train_heads(X, np.concatenate([Y, other]), 10.0, settings, CPU)
    first, second = train_heads(X, Y, 10.0, settings, CPU), train_heads(X, other, 10.0, settings, CPU)
    assert draws.losses[0, 0] == first.losses[0, 0]
    assert draws.losses[0, 0] != second.losses[0, 0]
    assert draws.losses[0, 1] != first.losses[0, 1]


def test_targets_that_are_not_a_whole_number_of_draws_are_an_error(data):
    X, Y = data
    with pytest.raises(ValueError, match="expected targets for 200 images, found 150"):
        train_heads(X, Y[:150], 10.0, ContrastiveSettings(batch_size=50), CPU)


@pytest.mark.parametrize(("width", "threads_used"), [(8, 1), (4000, 2)])
def test_small_steps_use_one_thread_and_leave_the_number_as_it_was(width, threads_used):
    rng = np.random.default_rng(0)
    images, targets = (rng.standard_normal((256, wide), dtype=np.float32) for wide in (width, 600))
    threads, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        settings = ContrastiveSettings(epochs=1, batch_size=256)
        train_heads(images, targets, 10.0, settings, CPU, lambda _: seen.add(torch.get_num_threads()))
        assert seen == {threads_used}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_small_heads_side_by_side_are_those_trained_in_turn(data):
    """Five heads on one, two and eight threads: the same bits, the same losses."""
    X, Y = data
    settings, found = ContrastiveSettings(epochs=2, batch_size=50, seeds=(1, 2, 3, 4, 5), lr=0.1), []
    for threads in (1, 2, 8):
        steps: list[int] = []
        with torch_threads(threads):
            found.append(train_heads(X, Y, 10.0, settings, CPU, steps.append))
        assert sum(steps) == 2 * (len(X) // 50)
    for other in found[1:]:
        assert other.weights.tobytes() == found[0].weights.tobytes()
        assert other.batch_losses.tobytes() == found[0].batch_losses.tobytes()


def test_an_error_in_one_thread_ends_the_others(data):
    X, Y = data
    settings = ContrastiveSettings(epochs=100_000, batch_size=50, seeds=(1, 2))

    def fail(_: int) -> None:
        raise RuntimeError("the reporter is gone")

    before = threading.active_count()
    with torch_threads(2), pytest.raises(RuntimeError, match="the reporter is gone"):
        train_heads(X, Y, 10.0, settings, CPU, fail)
    assert threading.active_count() == before
