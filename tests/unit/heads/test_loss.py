"""The contrastive loss and its gradient against plain NumPy in float64."""

import numpy as np
import torch

from expclip_cache.heads.loss import contrastive_loss
from numpy_contrastive import numpy_loss_and_gradient


def test_loss_and_gradient_are_those_of_plain_numpy():
    random = np.random.default_rng(0)
    X, Y, W = (random.normal(size=shape) for shape in ((60, 12), (60, 20), (20, 12)))
    weights = torch.from_numpy(W).requires_grad_()
    loss = contrastive_loss(torch.from_numpy(X) @ weights.T, torch.from_numpy(Y), 30.0)
    loss.backward()
    expected, gradient = numpy_loss_and_gradient(W, X, Y, 30.0)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)
    np.testing.assert_allclose(weights.grad, gradient, rtol=1e-9, atol=1e-12)


def test_the_lengths_of_its_inputs_do_not_matter():
    random = np.random.default_rng(1)
    z, y = (torch.from_numpy(random.normal(size=(8, 5))) for _ in range(2))
    scaled = contrastive_loss(3 * z, y * torch.arange(1, 9)[:, None], 20.0)
    torch.testing.assert_close(contrastive_loss(z, y, 20.0), scaled)


def test_features_that_are_all_alike_have_the_loss_of_chance():
    loss = contrastive_loss(torch.ones(16, 4), torch.ones(16, 4), 100.0)
    np.testing.assert_allclose(loss.item(), np.log(16), rtol=1e-6)
