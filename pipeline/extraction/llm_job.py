"""LLM targets of a dataset, as an extraction job."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.extraction.job import Encoder, Job
from pipeline.manifest import Manifest
from pipeline.params import LlmParams


def llm_job(manifest: Manifest, root: Callable[[], Path], params: LlmParams, out: Path | str, draw: int = 0) -> Job:
    """What to encode, with what, into which cache; nothing is loaded yet.

    Args:
        draw: which draw of the dropout masks, in mode dropout.
    """
    return Job(manifest, root, params.settings(draw), partial(_weights, params), partial(_load, params, draw), out)


def _weights(params: LlmParams) -> str | None:
    from pipeline.encoders.sources import weights_identity

    return weights_identity(params)


def _load(params: LlmParams, draw: int, device: str) -> Encoder:
    from pipeline.encoders.blip2_t5 import load_blip2_t5
    from pipeline.encoders.device import resolve_device

    return load_blip2_t5(params, resolve_device(device), draw)
