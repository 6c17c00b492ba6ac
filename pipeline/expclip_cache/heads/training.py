"""Contrastive training of the projection head W (t, d) on features in memory or on disk.

Several heads (seeds, learning rates, weight decays) train at once as one batched problem. Each comes out as
it would alone, up to the rounding of batched products.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from threading import Event
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from expclip_cache.base import SettingsError
from expclip_cache.heads.fused_step import HeadGroup
from expclip_cache.heads.recipe import Recipe, recipes_of
from expclip_cache.heads.settings import ContrastiveSettings

OPERATIONS_PER_THREAD = 5e8
"""Floating-point operations of a step below which one thread does it. In a smaller step the threads mostly wait for
each other; on a busy machine that made the demo's steps 14 times as slow."""

ROWS_PER_COPY = 2048
"""Rows that are read and converted at a time: a shard of the default size, which is then read in one go."""


class Features(Protocol):
    """(n, w) raw features of any float dtype: a NumPy array, or rows of caches that are read on access."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, w)."""
        ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """(k,) int64 -> (k, w)."""
        ...


@dataclass(frozen=True)
class TrainedHeads:
    """Trained heads, one per recipe.

    Attributes:
        weights: (s, t, d) float32.
        losses: (s, epochs) float64, mean loss over the batches of each epoch, in nats.
        batch_losses: (s, epochs * batches) float32, loss of each step.
    """

    weights: np.ndarray
    losses: np.ndarray
    batch_losses: np.ndarray


def train_heads(
    images: Features,
    targets: Features,
    logit_scale: float,
    settings: ContrastiveSettings,
    device: torch.device,
    advance: Callable[[int], None] = lambda _: None,
    *,
    resident: bool = True,
    recipes: Sequence[Recipe] = (),
) -> TrainedHeads:
    """Train heads as the reference does: SGD with momentum, shuffled, last partial batch dropped.

    Args:
        images: (n, d) raw CLIP features.
        targets: (k n, t) raw LLM targets: k draws, one after the other. Row i of a draw describes the image in row i of
            `images`. Epoch e uses draw e modulo k; targets without dropout have k = 1.
        logit_scale: s, the factor itself (CLIP's 100, not its logarithm).
        settings: epochs, batch size and momentum of all heads; also their seeds, learning rate and weight decay if no
            recipes are given.
        advance: called with 1 after each step, from another thread.
        resident: copy all rows to the device once. Otherwise each batch is gathered when it is needed, and memory does
            not depend on n. Both give the same heads.
        recipes: one per head; by default one for each of the settings' seeds.

    Raises:
        SettingsError: there are fewer rows than one batch.
    """
    (rows, width), (all_targets, target_width) = images.shape, targets.shape
    recipes = recipes or recipes_of(settings)
    batch, draws = settings.batch_size, all_targets // max(rows, 1)
    steps = rows // batch
    if steps == 0:
        raise SettingsError(
            f"batch_size is {batch}, but only {rows} images have features: less than one full batch. "
            "Use a smaller batch_size or more images."
        )
    if draws * rows != all_targets:
        raise ValueError(f"expected targets for {rows} images, found {all_targets} rows.")
    take_images = _batches(images, device, resident, lambda x: x)
    take_targets = _batches(targets, device, resident, lambda y: F.normalize(y, dim=-1))
    size = 1 if device.type == "cpu" else len(recipes)
    heads = [slice(start, start + size) for start in range(0, len(recipes), size)]
    small = device.type == "cpu" and 4 * batch * target_width * (width + batch) < OPERATIONS_PER_THREAD
    # Small heads use one thread each, so several are trained side by side.
    threads = min(torch.get_num_threads(), len(heads)) if small and resident else 1
    shapes = (size, target_width, width), (size, batch, target_width), (size, batch, target_width)
    lanes: list[list[HeadGroup]] = []
    for lane in range(threads):
        gradient, z, dz = (torch.empty(shape, device=device) for shape in shapes)
        lanes.append([HeadGroup(recipes, mine, settings.momentum, (gradient, z, dz)) for mine in heads[lane::threads]])
    losses = torch.empty(len(recipes), settings.epochs * steps, device=device)
    stopped = Event()

    def train(lane: Sequence[HeadGroup], advance: Callable[[int], None]) -> None:
        """All steps of some heads, in turn."""
        shufflers = [[torch.Generator().manual_seed(recipe.seed) for recipe in recipes[each.heads]] for each in lane]
        for epoch in range(settings.epochs):
            orders = [torch.stack([torch.randperm(rows, generator=one) for one in shuffler]) for shuffler in shufflers]
            first_target = epoch % draws * rows
            for step in range(steps):
                if stopped.is_set():
                    return
                for group, order in zip(lane, orders, strict=True):
                    chosen = order[:, step * batch : (step + 1) * batch]
                    x, y = take_images(chosen), take_targets(first_target + chosen)
                    losses[group.heads, epoch * steps + step] = group.step(x, y, logit_scale)
                advance(1)

    with _one_thread_each(small), ThreadPoolExecutor(threads) as pool:
        try:
            # The first lane has the most heads, so it is the last to end.
            trained = [pool.submit(train, lane, lambda _: None) for lane in lanes[1:]]
            for part in [pool.submit(train, lanes[0], advance), *trained]:
                part.result()
        finally:
            stopped.set()
    groups = sorted(chain(*lanes), key=lambda group: group.heads.start)
    batch_losses = losses.cpu().numpy()
    means = batch_losses.reshape(len(recipes), settings.epochs, steps).mean(axis=2, dtype=np.float64)
    weights = torch.cat([group.weights for group in groups])
    return TrainedHeads(weights.cpu().numpy(), means, batch_losses)


@contextmanager
def _one_thread_each(small: bool) -> Iterator[None]:
    """Let torch use one thread for a small step, see `OPERATIONS_PER_THREAD`."""
    threads = torch.get_num_threads()
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _batches(
    features: Features, device: torch.device, resident: bool, prepare: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from (s, b) row numbers to their (s, b, w) float32 features on the device, prepared."""

    def read(rows: np.ndarray) -> torch.Tensor:
        values = np.ascontiguousarray(features[rows])
        return prepare(torch.from_numpy(values).to(device, torch.float32))

    if not resident:
        return lambda chosen: read(chosen.flatten().numpy()).unflatten(0, chosen.shape)
    if device.type == "cpu":
        # NumPy asks the kernel for large pages and torch does not: memory of 800 MB is filled four times as fast.
        everything = torch.from_numpy(np.empty(features.shape, np.float32))
    else:
        everything = torch.empty(features.shape, device=device)
    for start in range(0, len(everything), ROWS_PER_COPY):
        rows = np.arange(start, min(start + ROWS_PER_COPY, len(everything)))
        everything[start : start + len(rows)] = read(rows)
    return lambda chosen: everything[chosen.to(device)]
