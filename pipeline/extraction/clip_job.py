"""CLIP image features of a dataset, as an extraction job."""

from collections.abc import Callable
from pathlib import Path

from pipeline.extraction.extract import Job
from pipeline.manifest import Manifest
from pipeline.params import ClipParams


def clip_job(manifest: Manifest, root: Callable[[], Path], params: ClipParams, device: str, out: Path | str) -> Job:
    """What to encode, with what, into which cache; nothing is loaded yet."""

    def weights() -> str | None:
        from pipeline.encoders.sources import weights_identity

        return weights_identity(params)

    def load():
        from pipeline.encoders.clip import load_clip
        from pipeline.encoders.device import resolve_device

        return load_clip(params, resolve_device(device))

    return Job(manifest, root, params.image_settings(), weights, load, out)
