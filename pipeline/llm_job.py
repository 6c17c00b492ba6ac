"""LLM targets of a dataset, as an extraction job."""

from collections.abc import Callable
from pathlib import Path

from pipeline.extract import Job
from pipeline.manifest import Manifest
from pipeline.params import LlmParams


def llm_job(manifest: Manifest, root: Callable[[], Path], params: LlmParams, device: str, out: Path) -> Job:
    """What to encode, with what, into which folder; nothing is loaded yet."""

    def weights() -> str | None:
        from pipeline.encoders.sources import weights_identity

        return weights_identity(params)

    def load():
        from pipeline.encoders.blip2_t5 import load_blip2_t5
        from pipeline.encoders.device import resolve_device

        return load_blip2_t5(params, resolve_device(device))

    return Job(manifest, root, params.settings(), weights, load, out)
