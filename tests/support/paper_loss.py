"""The loss of a batch as the paper states it, in operations that torch can differentiate."""

import torch
import torch.nn.functional as F


def contrastive_loss(W: torch.Tensor, x: torch.Tensor, y: torch.Tensor, logit_scale: float) -> torch.Tensor:
    """Mean of both cross-entropies, in nats; W (t, d), x (b, d) and y (b, t) raw."""
    logits = logit_scale * F.normalize(x @ W.T, dim=1) @ F.normalize(y, dim=1).T
    partner = torch.arange(len(x))
    return (F.cross_entropy(logits, partner) + F.cross_entropy(logits.T, partner)) / 2
