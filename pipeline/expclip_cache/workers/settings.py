"""How to run: `run:` in params.yaml."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from expclip_cache.base import Section


def _batch_size(value: object) -> object:
    """Reported in one sentence; pydantic would report each member of the union."""
    if value != "auto" and not (isinstance(value, int | str) and str(value).isdecimal() and int(value) > 0):
        raise ValueError(f"expected auto or a number of images from 1, found {value!r}")
    return value


BatchSize = Annotated[int | Literal["auto"], BeforeValidator(_batch_size)]
"""Images per batch, or `auto`."""


class RunSettings(Section):
    """How to run. Changes no result beyond rounding, so it is part of no cache's identity and re-runs no stage.

    Attributes:
        device: `auto` is every CUDA device for encoding and the first for training, or the CPU.
        batch_size: images per batch of an encoder; `auto` is 16 on a CPU and measured on a GPU.
        workers: decoding processes for each encoder; 0 decodes in the encoder's own process.
        pixels: folder that keeps decoded images for the next encoder over the same dataset; None keeps none.
        executor: `local` is this machine, `ray` a Ray cluster.
        processes: encoders at once; `auto` is one for each GPU, without any one process here or all that fit on Ray.
    """

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    batch_size: BatchSize = "auto"
    workers: Annotated[int, Field(ge=0)] = 2
    pixels: Path | None = None
    executor: Literal["local", "ray"] = "local"
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
