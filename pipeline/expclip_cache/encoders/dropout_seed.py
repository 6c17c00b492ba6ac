"""The random numbers behind dropout masks: repeatable for each batch, without touching the global generators."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def mask_seed(draw: int, pixels: torch.Tensor) -> int:
    """A 32-bit seed for a batch's dropout masks, from the draw and the sum of the batch's pixels."""
    # Torch's CPU generator uses only 32 bits of a seed, so the two numbers are hashed together.
    text = f"{draw}:{int(pixels.sum(dtype=torch.int64))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of the CPU and of `device`, and restore their states afterwards."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
