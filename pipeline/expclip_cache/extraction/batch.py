"""Decoded rows on their way from a decoding process to the encoder."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps it."""


@dataclass(frozen=True)
class Batch:
    """Decoded rows of one dataset.

    Attributes:
        rows: n consecutive manifest rows.
        pixels: (n, f, 3, size, size) uint8; zeros where a row could not be read.
        errors: n reasons, empty where the row is good.
        failure: why decoding cannot continue; the other fields mean nothing then.
    """

    rows: range
    pixels: torch.Tensor
    errors: tuple[str, ...]
    failure: str = ""

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory (called by torch's loader)."""
        return replace(self, pixels=self.pixels.pin_memory())


@dataclass(frozen=True)
class PipedBatch:
    """A batch whose pixels come through a pipe, where shared memory is scarce; fields as in `Batch`."""

    rows: range
    pixels: np.ndarray
    errors: tuple[str, ...]
    failure: str = ""

    @property
    def in_memory(self) -> Batch:
        """The batch as the others are."""
        return Batch(self.rows, torch.from_numpy(self.pixels), self.errors, self.failure)

    def pin_memory(self) -> Batch:
        """See `Batch`."""
        return self.in_memory.pin_memory()


def free_shared_memory() -> float:
    """Bytes that may still be used; without limit where the system has no such folder."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return float("inf")
    return 0 if status.f_flag & os.ST_RDONLY else status.f_bavail * status.f_frsize
