"""LLM targets of a dataset, as an extraction job."""

from collections.abc import Callable
from pathlib import Path

from pipeline.extraction.extract import Job
from pipeline.manifest import Manifest
from pipeline.params import LlmParams


def llm_job(
    manifest: Manifest, root: Callable[[], Path], params: LlmParams, device: str, out: Path | str, draw: int = 0
) -> Job:
    """What to encode, with what, into which cache; nothing is loaded yet.

    Args:
        draw: which draw of the dropout masks, in mode dropout.
    """

    def weights() -> str | None:
        from pipeline.encoders.sources import weights_identity

        return weights_identity(params)

    def load():
        from pipeline.encoders.blip2_t5 import load_blip2_t5
        from pipeline.encoders.device import resolve_device

        return load_blip2_t5(params, resolve_device(device), draw)

    return Job(manifest, root, params.settings(draw), weights, load, out)
