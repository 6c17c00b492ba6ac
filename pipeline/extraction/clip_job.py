"""CLIP image features of a dataset, as an extraction job."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.extraction.job import Encoder, Job
from pipeline.manifest import Manifest
from pipeline.params import ClipParams


def clip_job(manifest: Manifest, root: Callable[[], Path], params: ClipParams, out: Path | str) -> Job:
    """What to encode, with what, into which cache; nothing is loaded yet."""
    return Job(manifest, root, params.image_settings(), partial(_weights, params), partial(_load, params), out)


def _weights(params: ClipParams) -> str | None:
    from pipeline.encoders.sources import weights_identity

    return weights_identity(params)


def _load(params: ClipParams, device: str) -> Encoder:
    from pipeline.encoders.clip import load_clip
    from pipeline.encoders.device import resolve_device

    return load_clip(params, resolve_device(device))
