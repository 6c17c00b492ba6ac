"""One SGD step of several heads at once, with the gradient of the contrastive loss written out."""

import math
from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F

from expclip_cache.heads.recipe import Recipe


def initial_weights(seed: int, width: int, target_width: int) -> torch.Tensor:
    """(t, d) float32, distributed as `torch.nn.Linear` initialises its weight: uniform in +-1 / sqrt(d)."""
    bound = 1 / math.sqrt(width)
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(target_width, width).uniform_(-bound, bound, generator=generator)


Workspace = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Buffers of one step: (k, t, d) for dL/dW, (k, b, t) for z and (k, b, t) for dL/dz."""


class HeadGroup:
    """Heads that take their steps together: all of them on an accelerator, one on a CPU, which one keeps busy.

    The loss is `contrastive_loss`. Its gradient is written out into preallocated buffers: autograd allocates and
    clears a dozen (b, t) matrices per step, which on a CPU costs as much time as the matrix products.

    Attributes:
        heads: slice of the recipes that this group trains.
        weights: W (k, t, d), updated by each step.
    """

    def __init__(self, recipes: Sequence[Recipe], heads: slice, momentum: float, workspace: Workspace):
        """Initialise the weights.

        Args:
            workspace: used during a step only, so groups that take turns may share it.
        """
        mine = recipes[heads]
        self.heads = heads
        self._gradient, self._z, self._dz = workspace
        _, target_width, width = self._gradient.shape
        starts = [initial_weights(recipe.seed, width, target_width) for recipe in mine]
        self.weights = torch.stack(starts).to(self._gradient.device)
        self._runs, self._momentum = _runs_of_equal_settings(mine), momentum
        self._velocity = torch.zeros_like(self.weights)

    def step(self, images: torch.Tensor, targets: torch.Tensor, logit_scale: float) -> torch.Tensor:
        """Take one step with every head.

        Args:
            images: x (k, b, d) raw.
            targets: y (k, b, t) L2-normalised.
            logit_scale: s, the factor itself.

        Returns:
            (k,) losses before the step, in nats.
        """
        z, dz = self._z, self._dz
        torch.bmm(images, self.weights.mT, out=z)
        lengths = z.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        logits = torch.bmm(z, targets.mT).mul_(logit_scale / lengths)
        by_row, by_column = F.log_softmax(logits, dim=-1), F.log_softmax(logits, dim=-2)
        diagonals = by_row.diagonal(dim1=-2, dim2=-1) + by_column.diagonal(dim1=-2, dim2=-1)
        # dL/dlogits is (softmax over rows + softmax over columns - 2 I) / 2b; a logit is s z_i y_j / |z_i|.
        slope = by_row.exp_().add_(by_column.exp_())
        slope.diagonal(dim1=-2, dim2=-1).sub_(2)
        slope /= 2 * logits.shape[-1]
        inward = (slope * logits).sum(dim=-1, keepdim=True) / lengths.square()
        torch.bmm(slope.mul_(logit_scale / lengths), targets, out=dz)
        dz.addcmul_(z, inward, value=-1)
        torch.bmm(dz.mT, images, out=self._gradient)
        self._update()
        return -diagonals.mean(dim=-1) / 2

    def _update(self) -> None:
        """SGD as in `torch.optim.SGD`, which first imports torch's compiler: 3 s, as long as many a training."""
        for (_, weight_decay), heads in self._runs:
            self._gradient[heads].add_(self.weights[heads], alpha=weight_decay)
        self._velocity.mul_(self._momentum).add_(self._gradient)
        for (lr, _), heads in self._runs:
            self.weights[heads].add_(self._velocity[heads], alpha=-lr)


def _runs_of_equal_settings(recipes: Sequence[Recipe]) -> list[tuple[tuple[float, float], slice]]:
    """(learning rate, weight decay) and the slice of consecutive heads that share them.

    A step then updates each slice of the batched weights in one large operation.
    """
    runs, start = [], 0
    for settings, members in groupby(recipes, key=lambda recipe: (recipe.lr, recipe.weight_decay)):
        heads = slice(start, start + len(list(members)))
        runs.append((settings, heads))
        start = heads.stop
    return runs
