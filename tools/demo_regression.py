"""First training stage of both image towers: regression of the action units and traits in the image.

A small tower learns next to nothing from a contrastive loss or captions on a few cores; this takes minutes.
"""

from collections.abc import Callable
from math import cos, pi

import torch
from demo_training_faces import TrainingFaces, augmented
from torch import nn


class Readout(nn.Module):
    """Linear readout of the standardised action units and traits; discarded after training.

    Attributes:
        mean, spread: (units + traits,) mean and standard deviation over the training faces.
        weight: (units + traits,) weights in the loss.
        units: number of action units, which come first.
    """

    mean: torch.Tensor
    spread: torch.Tensor
    weight: torch.Tensor

    def __init__(self, width: int, faces: TrainingFaces):
        super().__init__()
        truth = torch.cat([faces.units, faces.traits], dim=1)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, truth.shape[1])
        self.register_buffer("mean", truth.mean(dim=0))
        self.register_buffer("spread", truth.std(dim=0) + 1e-3)
        weight = torch.cat([torch.full((faces.units.shape[1],), 2.0), torch.full((faces.traits.shape[1],), 0.7)])
        self.register_buffer("weight", weight)
        self.units = faces.units.shape[1]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(b, width) -> (b, units + traits), standardised."""
        return self.linear(self.norm(features))

    def loss(self, features: torch.Tensor, faces: TrainingFaces, rows: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the standardised values; action units have more weight than traits."""
        truth = torch.cat([faces.units[rows], faces.traits[rows]], dim=1).to(features.device)
        error = (self(features) - (truth - self.mean) / self.spread) ** 2
        return (error * self.weight).mean()


def schedule(step: int, steps: int, peak: float, warm: int) -> float:
    """Learning rate: a linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + cos(pi * (step - warm) / max(1, steps - warm))))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups, each multiplied by its own `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)


def learn_actions(
    tower: Callable[[torch.Tensor], torch.Tensor],
    modules: nn.ModuleList,
    readout: Readout,
    faces: TrainingFaces,
    steps: int,
    batch: int,
    rate: float,
    generator: torch.Generator,
    log: Callable[[str], None],
) -> float:
    """Train a tower and its readout.

    Args:
        tower: (b, 3, h, w) float32 in [0, 1] -> (b, width).
        modules: the modules to train.
        readout: reads the tower's output.
        faces: the training faces.
        steps: number of batches.
        batch: faces per batch.
        rate: peak learning rate of AdamW.
        generator: of the order of faces and their augmentation.
        log: called about twenty times with a line to print.

    Returns:
        Mean loss of the last twentieth of the batches.
    """
    modules.append(readout).train()
    device = readout.mean.device
    optimizer = torch.optim.AdamW(modules.parameters(), lr=rate, weight_decay=0.02)
    losses: list[float] = []
    for step in range(steps):
        set_rate(optimizer, schedule(step, steps, rate, warm=min(200, steps // 10 + 1)))
        rows = torch.randint(len(faces.pixels), (batch,), generator=generator)
        pixels = augmented(faces.pixels[rows].to(device).float() / 255, generator)
        loss = readout.loss(tower(pixels.contiguous(memory_format=torch.channels_last)), faces, rows)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 20) == 0:
            recent = losses[-max(1, steps // 20) :]
            log(f"  actions and traits: step {step + 1}/{steps} loss {sum(recent) / len(recent):.3f}")
    return sum(losses[-max(1, steps // 20) :]) / max(1, len(losses[-max(1, steps // 20) :]))


@torch.no_grad()
def unexplained(
    tower: Callable[[torch.Tensor], torch.Tensor], readout: Readout, faces: TrainingFaces
) -> tuple[float, float]:
    """Share of the variance of action units, and of traits, that is unexplained on other faces (0 is perfect)."""
    device = readout.mean.device
    predicted = torch.cat([readout(tower(part.to(device).float() / 255)).cpu() for part in faces.pixels.split(250)])
    truth = torch.cat([faces.units, faces.traits], dim=1)
    truth = (truth - readout.mean.cpu()) / readout.spread.cpu()
    missed = ((predicted - truth) ** 2).mean(dim=0) / truth.var(dim=0).clamp(min=1e-3)
    return float(missed[: readout.units].mean()), float(missed[readout.units :].mean())
