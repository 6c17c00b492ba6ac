"""How much a device can hold."""

import os

import torch

SHARE = 0.5
"""Of the free memory that training data may take; the rest is for everything else."""


def fits(bytes_: int, device: torch.device) -> bool:
    """Whether so many bytes may be put on the device and kept there."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return bytes_ <= SHARE * free
