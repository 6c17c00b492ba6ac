"""How many images to encode per batch, where `run.batch_size` is `auto`."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from expclip_cache.base import EncoderError, Says
from expclip_cache.cache import Json
from expclip_cache.extraction.encoding import encode_rows
from expclip_cache.extraction.jobs import Encoder
from expclip_cache.workers import RunSettings

ON_CPU = 16
"""On 2 cores ViT-B/32 encoded 36 to 38 images/s in batches of 4 to 64, ViT-L/14 2.0 in batches of 4 to 16: larger
batches gain nothing. Encoders as small as the demo's gain a quarter with 64."""

WITH_DROPOUT = 64
"""Dropout masks are drawn per batch, so targets in mode dropout are reproduced only by the same batches."""

PROBE = 16
"""Images in the batch whose memory is measured."""

MAX_BATCH = 512
"""Larger batches make an accelerator no faster, and every waiting batch takes memory of the host."""

SHARE = 0.7
"""Of the accelerator's free memory that a batch may take."""

SHARE_OF_SHARED = 0.5
"""Of the free shared memory that waiting batches may take; containers often have only 64 MB of it."""

SHARED_MEMORY = Path("/dev/shm")


def images_per_batch(settings: Mapping[str, Json], encoder: Encoder, run: RunSettings, report: Says) -> int:
    """The batch size requested, or one that is chosen here.

    On a CPU and in mode dropout it is a fixed number. On an accelerator a small batch is encoded, its peak memory is
    taken as proportional to its images, and as many are chosen as fit into `SHARE` of what is free.

    Args:
        settings: of the cache's identity.
        report: told what was measured.

    Returns:
        At least 1; a multiple of 8 where it was measured.
    """
    if run.batch_size != "auto":
        return run.batch_size
    if settings.get("mode") == "dropout":
        return WITH_DROPOUT
    if encoder.device.type != "cuda":
        return ON_CPU
    limits = {"the device's memory": _fit_on_device(encoder, report)}
    if run.workers:
        limits["shared memory"] = _fit_in_shared_memory(encoder.preprocess.size, run.workers)
    count = rounded(min(limits.values()))
    reasons = ", ".join(f"{n} by {limit}" for limit, n in limits.items())
    report.say(f"{encoder.device}: {count} images per batch ({reasons})")
    return count


def rounded(count: int) -> int:
    """The next multiple of 8 below, within 8 and `MAX_BATCH`.

    >>> [rounded(n) for n in (0, 77, 100_000)]
    [8, 72, 512]
    """
    return max(8, min(count, MAX_BATCH) // 8 * 8)


def _fit_on_device(encoder: Encoder, report: Says) -> int:
    device, size = encoder.device, encoder.preprocess.size
    pixels = torch.zeros(PROBE, 1, 3, size, size, dtype=torch.uint8)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    try:
        encode_rows(encoder, pixels, np.ones(PROBE, dtype=bool), report)
    except EncoderError:
        return 0
    torch.cuda.synchronize(device)
    each = (torch.cuda.max_memory_allocated(device) - before) / PROBE
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return int(SHARE * free / each)


def _fit_in_shared_memory(size: int, workers: int) -> int:
    """How many images a batch may have, so that all batches that wait for the encoder fit."""
    if not SHARED_MEMORY.is_dir():
        return MAX_BATCH
    waiting = 2 * workers + 2
    return int(SHARE_OF_SHARED * shutil.disk_usage(SHARED_MEMORY).free / (waiting * 3 * size * size))
