"""How many pictures to encode at once, where `run.batch_size` is `auto`."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from expclip_cache.base import EncoderError
from expclip_cache.cache import Json
from expclip_cache.extraction.encoding import encode_rows
from expclip_cache.extraction.jobs import Encoder
from expclip_cache.workers import RunSettings, Worker

ON_CPU = 16
"""On 2 cores ViT-B/32 encoded 36 to 38 pictures/s in batches of 4 to 64, ViT-L/14 2.0 in 4 to 16: more gains nothing.
Encoders as small as the demo's gain a quarter with 64."""

WITH_DROPOUT = 64
"""Masks are drawn by batch, so targets in mode dropout are the same again only in the same batches."""

PROBE = 16
"""Pictures of the batch whose memory is measured."""

LARGEST = 512
"""More at once gives an accelerator no speed, and every waiting batch costs memory of the host."""

SHARE = 0.7
"""Of the accelerator's free memory that a batch may take."""

SHARE_OF_SHARED = 0.5
"""Of the free shared memory that waiting batches may take; containers often have only 64 MB of it."""

SHARED_MEMORY = Path("/dev/shm")


def pictures_at_once(settings: Mapping[str, Json], encoder: Encoder, run: RunSettings, worker: Worker) -> int:
    """The batch size asked for, or one that is found.

    On the CPU and in mode dropout it is a fixed number. On an accelerator a small batch is encoded, its peak memory
    is taken as that of each of its pictures, and as many are chosen as fit into `SHARE` of what is free.

    Args:
        settings: of the cache's identity.
        worker: hears what was measured.

    Returns:
        At least 1; a multiple of 8 where it was measured.
    """
    if run.batch_size != "auto":
        return run.batch_size
    if settings.get("mode") == "dropout":
        return WITH_DROPOUT
    if encoder.device.type != "cuda":
        return ON_CPU
    room = {"the device's memory": _fit_on_device(encoder, worker)}
    if run.workers:
        room["shared memory"] = _fit_in_shared_memory(encoder.preprocess.size, run.workers)
    count = sensible(min(room.values()))
    worker.say(
        f"{encoder.device}: {count} pictures at once ({', '.join(f'{n} by {what}' for what, n in room.items())})"
    )
    return count


def sensible(count: int) -> int:
    """The next multiple of 8 below, within 8 and `LARGEST`.

    >>> [sensible(n) for n in (0, 77, 100_000)]
    [8, 72, 512]
    """
    return max(8, min(count, LARGEST) // 8 * 8)


def _fit_on_device(encoder: Encoder, worker: Worker) -> int:
    device, size = encoder.device, encoder.preprocess.size
    pixels = torch.zeros(PROBE, 1, 3, size, size, dtype=torch.uint8)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    try:
        encode_rows(encoder, pixels, np.ones(PROBE, dtype=bool), worker)
    except EncoderError:
        return 0
    torch.cuda.synchronize(device)
    each = (torch.cuda.max_memory_allocated(device) - before) / PROBE
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return int(SHARE * free / each)


def _fit_in_shared_memory(size: int, workers: int) -> int:
    """How many pictures a batch may have, so that all that wait for the encoder fit."""
    if not SHARED_MEMORY.is_dir():
        return LARGEST
    waiting = 2 * workers + 2
    return int(SHARE_OF_SHARED * shutil.disk_usage(SHARED_MEMORY).free / (waiting * 3 * size * size))
