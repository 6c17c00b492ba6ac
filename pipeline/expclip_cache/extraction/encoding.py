"""One decoded batch through a frozen encoder, in halves if the device runs out of memory."""

import numpy as np
import torch

from expclip_cache.base import EncoderError, Says
from expclip_cache.extraction.jobs import Encoder


def encode_rows(encoder: Encoder, pixels: torch.Tensor, good: np.ndarray, report: Says) -> torch.Tensor:
    """Encode the good rows of a batch; a clip is the mean of its frames' raw features (the head is linear).

    Args:
        pixels: (n, f, 3, h, w) uint8.
        good: (n,) bool.
        report: told when a batch has to be split.

    Returns:
        (number of good rows, w) float32 on the encoder's device, raw; an accelerator may still be at work on it.

    Raises:
        EncoderError: not even a single image fits into memory.
    """
    if not good.all():
        pixels = pixels[torch.from_numpy(good)]
    n, frames = pixels.shape[:2]
    if n == 0:
        return torch.empty(0, encoder.width)
    flat = pixels.flatten(0, 1).to(encoder.device, non_blocking=True)
    features = _encode_halving(encoder, flat, report)
    return features.view(n, frames, -1).mean(dim=1)


def _encode_halving(encoder: Encoder, pixels: torch.Tensor, report: Says) -> torch.Tensor:
    try:
        return encoder.encode_images(pixels)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
    n = len(pixels)
    if n == 1:
        raise EncoderError(
            f"{encoder.device}: out of memory with a single image. Use a device with more memory, or a smaller model."
        )
    report.say(f"{encoder.device}: out of memory with a batch of {n}; trying {n // 2}. Lower run.batch_size.")
    if encoder.device.type == "cuda":
        torch.cuda.empty_cache()
    half = n // 2
    return torch.cat([_encode_halving(encoder, part, report) for part in (pixels[:half], pixels[half:])])


def _is_out_of_memory(error: Exception) -> bool:
    """Torch raises its own type on an accelerator and a bare RuntimeError from the CPU's allocator."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
