"""One decoded batch through a frozen encoder, in halves if the device runs out of memory."""

from collections.abc import Callable

import numpy as np
import torch

from expclip_cache.base import EncoderError, Says
from expclip_cache.extraction.jobs import Encoder, WholeClipEncoder


def encode_rows(
    encoder: Encoder, pixels: torch.Tensor, good: np.ndarray, report: Says, *, keep_frames: bool = False
) -> torch.Tensor:
    """Encode the good rows of a batch; a clip is the mean of its frames' raw features (the head is linear).

    An encoder of whole clips takes all frames of a row at once.

    Args:
        pixels: (n, f, 3, h, w) uint8.
        good: (n,) bool.
        report: told when a batch has to be split.
        keep_frames: give the features of every frame, one after the other, instead of their mean.

    Returns:
        (number of good rows, w) float32 on the encoder's device, raw; an accelerator may still be at work on it.

    Raises:
        EncoderError: not even a single image fits into memory.
    """
    if not good.all():
        pixels = pixels[torch.from_numpy(good)]
    n, frames = pixels.shape[:2]
    if n == 0:
        return torch.empty(0, row_width(encoder, frames, keep_frames=keep_frames))
    pixels = pixels.to(encoder.device, non_blocking=True)
    if isinstance(encoder, WholeClipEncoder):
        return _encode_halving(encoder.encode_clips, encoder.device, pixels, report)
    features = _encode_halving(encoder.encode_images, encoder.device, pixels.flatten(0, 1), report)
    return features.reshape(n, -1) if keep_frames else features.view(n, frames, -1).mean(dim=1)


def row_width(encoder: Encoder, frames: int, *, keep_frames: bool) -> int:
    """Numbers in a row of f frames, see `encode_rows`."""
    return (frames if keep_frames else 1) * encoder.vectors * encoder.width


def _encode_halving(
    encode: Callable[[torch.Tensor], torch.Tensor], device: torch.device, pixels: torch.Tensor, report: Says
) -> torch.Tensor:
    try:
        return encode(pixels)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
    n = len(pixels)
    if n == 1:
        raise EncoderError(
            f"{device}: out of memory with a single image. Use a device with more memory, or a smaller model."
        )
    report.say(f"{device}: out of memory with a batch of {n}; trying {n // 2}. Lower run.batch_size.")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    half = n // 2
    return torch.cat([_encode_halving(encode, device, part, report) for part in (pixels[:half], pixels[half:])])


def _is_out_of_memory(error: Exception) -> bool:
    """Torch raises its own type on an accelerator and a bare RuntimeError from the CPU's allocator."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
