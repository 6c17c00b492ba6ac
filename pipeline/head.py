"""The projection head: one bias-free matrix W (t, d) from CLIP's space to the LLM encoder's.

Symbols: x (n, d) raw image features, y (n, t) LLM targets, z = W x, s = exp(CLIP's logit scale), frozen.
Loss of a batch of b: with z and y L2-normalised, L = s z y^T (b, b), the mean of the two cross-entropies that ask of
each row, and of each column, to find its own partner (Exp-CLIP, section 3.2).
Several seeds train at once as one batched problem; each follows the path it would follow alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.errors import ParamsError
from pipeline.params import TrainParams


@dataclass(frozen=True)
class Heads:
    """Trained heads.

    Attributes:
        weights: (s, t, d) float32, one W per seed.
        losses: (s, epochs) float64, mean loss over the batches of an epoch.
        batch_losses: (s, epochs * batches) float32, the loss of every step.
    """

    weights: np.ndarray
    losses: np.ndarray
    batch_losses: np.ndarray


def initial_weights(seed: int, width: int, target_width: int) -> torch.Tensor:
    """(t, d) float32, the default start of `torch.nn.Linear`: uniform within 1 / sqrt(d)."""
    bound = 1 / math.sqrt(width)
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(target_width, width).uniform_(-bound, bound, generator=generator)


def contrastive_loss(
    weights: torch.Tensor, images: torch.Tensor, targets: torch.Tensor, logit_scale: float
) -> torch.Tensor:
    """The symmetric loss of one batch, for each of s heads.

    Args:
        weights: (s, t, d).
        images: (s, b, d) raw.
        targets: (s, b, t) L2-normalised.

    Returns:
        (s,) losses in nats.
    """
    projected = F.normalize(torch.bmm(images, weights.mT), dim=-1)
    logits = logit_scale * torch.bmm(projected, targets.mT)
    partner = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    rows = F.cross_entropy(logits.mT, partner, reduction="none")
    columns = F.cross_entropy(logits, partner, reduction="none")
    return (rows + columns).mean(dim=1) / 2


def fit_heads(
    images: np.ndarray,
    targets: np.ndarray,
    logit_scale: float,
    params: TrainParams,
    device: torch.device,
    advance: Callable[[int], None] = lambda _: None,
) -> Heads:
    """Train one head per seed by the reference's recipe: SGD with momentum, shuffled, last partial batch dropped.

    Start and shuffles of a head depend on its own seed alone, so a seed gives the same head in any company (up to
    the rounding of batched products).

    Args:
        images: (n, d) raw CLIP features, any float type.
        targets: (n, t) raw LLM targets, any float type; row i describes the picture of images row i.
        logit_scale: s, the factor itself (CLIP's 100, not its logarithm).
        advance: called with 1 after each step.

    Raises:
        ParamsError: there are fewer rows than one batch.
    """
    rows, batch = len(images), params.batch_size
    steps = rows // batch
    if steps == 0:
        raise ParamsError(
            f"train.batch_size is {batch}, but only {rows} images of {params.dataset} have features: not one full "
            "batch. Use a smaller batch or more images."
        )
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device, torch.float32)
    y = F.normalize(torch.from_numpy(np.ascontiguousarray(targets)).to(device, torch.float32), dim=1)
    start = [initial_weights(seed, x.shape[1], y.shape[1]) for seed in params.seeds]
    weights = torch.stack(start).to(device).requires_grad_()
    optimiser = torch.optim.SGD([weights], lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)
    shufflers = [torch.Generator().manual_seed(seed) for seed in params.seeds]
    losses = torch.empty(len(params.seeds), params.epochs * steps, device=device)
    for epoch in range(params.epochs):
        order = torch.stack([torch.randperm(rows, generator=shuffler) for shuffler in shufflers]).to(device)
        for step in range(steps):
            chosen = order[:, step * batch : (step + 1) * batch]
            loss = contrastive_loss(weights, x[chosen], y[chosen], logit_scale)
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            losses[:, epoch * steps + step] = loss.detach()
            advance(1)
    batch_losses = losses.cpu().numpy()
    means = batch_losses.reshape(len(params.seeds), params.epochs, steps).mean(axis=2, dtype=np.float64)
    return Heads(weights.detach().cpu().numpy(), means, batch_losses)
