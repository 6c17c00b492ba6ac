"""How much memory a device has for training data."""

import os

import torch

SHARE = 0.5
"""Share of the memory that training data may take; the rest is for everything else."""


def fits_in_memory(size: int, device: torch.device) -> bool:
    """Whether `size` bytes may be kept on the device: half of a GPU's free memory, or of this machine's."""
    if device.type == "cuda":
        memory, _ = torch.cuda.mem_get_info(device)
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return size <= SHARE * memory
