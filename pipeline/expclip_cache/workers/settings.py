"""Where and how to run: the section `run` of params.yaml."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from expclip_cache.base import Section


def _batch_size(value: object) -> object:
    """Check the value before pydantic does, which would report one error for each member of the union."""
    if value != "auto" and not (isinstance(value, int | str) and str(value).isdecimal() and int(value) > 0):
        raise ValueError(f"expected auto or a number of images >= 1, found {value!r}")
    return value


def _known_device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value, re.ASCII):
        raise ValueError(f"expected auto, cpu, cuda or cuda:1, found {value!r}")
    return value


BatchSize = Annotated[int | Literal["auto"], BeforeValidator(_batch_size)]
"""Images per batch, or `auto`."""


class RunSettings(Section):
    """Where and how to run.

    These settings change results by rounding errors at most. So they are not part of a cache's identity, and changing
    them does not rerun a stage. The exception is `batch_size` with a teacher's `mode: dropout`: masks are drawn per
    batch, so only the same batch size draws the same targets.

    Attributes:
        device: `auto` uses every CUDA device for encoding and the first one for training, or the CPU if there is none.
        batch_size: images per encoder batch; `auto` is 16 on a CPU, and is measured on a GPU.
        workers: decoding processes per encoder; 0 decodes in the encoder's process.
        pixels: folder for decoded images, which the next encoder of the same dataset reuses; None stores none. `auto`
            stores them in pixels/ for an encoder on a GPU, if another encoder of the study reads the same dataset with
            the same image preprocessing.
        executor: `local` uses this machine, `ray` a Ray cluster.
        processes: number of encoders that run at the same time. `auto` is one per GPU; without a GPU it is one process
            on this machine, or as many as fit into the Ray cluster.
    """

    device: Annotated[str, AfterValidator(_known_device)] = "auto"
    batch_size: BatchSize = "auto"
    workers: Annotated[int, Field(ge=0)] = 2
    pixels: Literal["auto"] | Path | None = "auto"
    executor: Literal["local", "ray"] = "local"
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
