"""The projection head: one bias-free matrix W (t, d) from CLIP's space to the LLM encoder's.

Symbols: x (n, d) raw image features, y (n, t) LLM targets, z = W x, s = exp(CLIP's logit scale), frozen.
Loss of a batch of b: with z and y L2-normalised, L = s z y^T (b, b), the mean of the two cross-entropies that ask of
each row, and of each column, to find its own partner (Exp-CLIP, section 3.2).
Several heads (seeds, learning rates, weight decays, teachers) train at once as one batched problem; each follows the
path it would follow alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from expclip_cache.base import SettingsError
from expclip_cache.heads.settings import TrainSettings

ROWS_AT_ONCE = 512
"""Rows that are read and converted at once, so that what is made on the way stays in the CPU's caches."""


@dataclass(frozen=True)
class Recipe:
    """What may differ between heads that train together.

    Attributes:
        seed: of the start and of the shuffles.
        teacher: which targets it learns from, counted from 0.
    """

    seed: int
    lr: float
    weight_decay: float
    teacher: int = 0


@dataclass(frozen=True)
class Heads:
    """Trained heads.

    Attributes:
        weights: (s, t, d) float32, one W per recipe.
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


class Features(Protocol):
    """(n, w) raw features of any float type: a NumPy array, or rows of a cache that are read when asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, w)."""

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(k,) int64 -> (k, w)."""


def fit_heads(
    images: Features,
    targets: Features,
    logit_scale: float,
    params: TrainSettings,
    device: torch.device,
    advance: Callable[[int], None] = lambda _: None,
    *,
    resident: bool = True,
    recipes: Sequence[Recipe] = (),
    teachers: int = 1,
) -> Heads:
    """Train heads as the reference does: SGD with momentum, shuffled, last partial batch dropped.

    A head depends on its own recipe alone and comes out the same in any company (up to the rounding of batched
    products).

    Args:
        images: (n, d) raw CLIP features.
        targets: (m k n, t) raw LLM targets: of m teachers, of each k draws, one after the other; row i of a draw
            describes the picture of images row i. Epoch e learns from draw e modulo k. Without dropout in the targets
            k is 1.
        logit_scale: s, the factor itself (CLIP's 100, not its logarithm).
        advance: called with 1 after each step.
        resident: copy all rows to the device once; otherwise every batch is gathered when its turn comes, and memory
            does not depend on n. Both give the same heads.
        recipes: a head each; by default the params' seeds with the params' learning rate and weight decay.
        teachers: m.

    Raises:
        SettingsError: there are fewer rows than one batch.
    """
    (rows, width), (all_targets, target_width) = images.shape, targets.shape
    recipes = recipes or [Recipe(seed, params.lr, params.weight_decay) for seed in params.seeds]
    batch, draws = params.batch_size, all_targets // max(rows * teachers, 1)
    steps = rows // batch
    if steps == 0:
        raise SettingsError(
            f"train.batch_size is {batch}, but only {rows} images of {params.dataset} have features: not one full "
            "batch. Use a smaller batch or more images."
        )
    if draws * rows * teachers != all_targets:
        raise ValueError(f"{all_targets} targets are no whole number of draws for {rows} images, {teachers} teachers")
    take_images = _gather(images, device, resident, lambda x: x)
    take_targets = _gather(targets, device, resident, lambda y: F.normalize(y, dim=-1))
    size = 1 if device.type == "cpu" else len(recipes)
    shapes = (size, target_width, width), (size, batch, target_width), (size, batch, target_width)
    workspace = tuple(torch.empty(shape, device=device) for shape in shapes)
    problems = [
        _Problem(recipes, slice(start, start + size), params.momentum, workspace)
        for start in range(0, len(recipes), size)
    ]
    shufflers = [torch.Generator().manual_seed(recipe.seed) for recipe in recipes]
    losses = torch.empty(len(recipes), params.epochs * steps, device=device)
    taught_by = torch.tensor([[recipe.teacher] for recipe in recipes])
    for epoch in range(params.epochs):
        order = torch.stack([torch.randperm(rows, generator=shuffler) for shuffler in shufflers])
        first = (taught_by * draws + epoch % draws) * rows
        for step in range(steps):
            chosen = order[:, step * batch : (step + 1) * batch]
            for problem in problems:
                x, y = take_images(chosen[problem.heads]), take_targets((first + chosen)[problem.heads])
                losses[problem.heads, epoch * steps + step] = problem.step(x, y, logit_scale)
            advance(1)
    batch_losses = losses.cpu().numpy()
    means = batch_losses.reshape(len(recipes), params.epochs, steps).mean(axis=2, dtype=np.float64)
    weights = torch.cat([problem.weights for problem in problems])
    return Heads(weights.cpu().numpy(), means, batch_losses)


class _Problem:
    """Heads that take each step together: all of them on an accelerator, one on a CPU, which is busy with one.

    The gradient is written out, into memory that is taken once: an automatic one takes and clears a dozen matrices of
    the size of a batch of targets in every step, which costs a CPU as much as the products.

    Attributes:
        heads: which of the recipes.
        weights: W (k, t, d).
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        heads: slice,
        momentum: float,
        workspace: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ):
        """Start the heads.

        Args:
            workspace: (k, t, d) for the gradient, twice (k, b, t) for z and its gradient; needed during a step only.
        """
        mine = recipes[heads]
        self.heads = heads
        self._gradient, self._z, self._dz = workspace
        starts = [initial_weights(recipe.seed, *reversed(self._gradient.shape[1:])) for recipe in mine]
        self.weights = torch.stack(starts).to(self._gradient.device)
        groups = []
        for (lr, decay), which in _slices(mine):
            part = self.weights[which]
            part.grad = self._gradient[which]
            groups.append({"params": [part], "lr": lr, "weight_decay": decay})
        self._optimiser = torch.optim.SGD(groups, momentum=momentum, fused=True)

    def step(self, images: torch.Tensor, targets: torch.Tensor, logit_scale: float) -> torch.Tensor:
        """One step of all heads.

        Args:
            images: x (k, b, d) raw.
            targets: y (k, b, t) L2-normalised.

        Returns:
            (k,) losses before it, in nats.
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
        self._optimiser.step()
        return -diagonals.mean(dim=-1) / 2


def _slices(recipes: Sequence[Recipe]) -> list[tuple[tuple[float, float], slice]]:
    """Learning rate and weight decay, and the run of heads that follow each other and have them.

    A step then is one large operation for all of them, on their slice of the batched weights.
    """
    found, start = [], 0
    for settings, members in groupby(recipes, key=lambda recipe: (recipe.lr, recipe.weight_decay)):
        heads = slice(start, start + len(list(members)))
        found.append((settings, heads))
        start = heads.stop
    return found


def _gather(
    features: Features, device: torch.device, resident: bool, prepare: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function (s, b) row numbers -> (s, b, w) float32 on the device, prepared."""

    def read(rows: np.ndarray) -> torch.Tensor:
        values = np.ascontiguousarray(features[rows])
        return prepare(torch.from_numpy(values).to(device, torch.float32))

    if not resident:
        return lambda chosen: read(chosen.flatten().numpy()).unflatten(0, chosen.shape)
    everything = torch.empty(features.shape, device=device)
    for start in range(0, len(everything), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(everything)))
        everything[start : start + len(rows)] = read(rows)
    return lambda chosen: everything[chosen.to(device)]
