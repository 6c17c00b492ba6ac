"""The contrastive loss, its gradient and SGD in plain NumPy float64, for tests to compare with."""

import numpy as np


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
