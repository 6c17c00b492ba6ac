"""Features as the rest of the package takes them."""

import torch


def ordinary(features: torch.Tensor) -> torch.Tensor:
    """As float32 and an ordinary tensor: one that was made in inference mode cannot be used in training."""
    return features.to(torch.float32).clone()
