"""What an extraction is asked to do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.images import Preprocess
from pipeline.manifest import Manifest
from pipeline.shards.schema import Json


class Encoder(Protocol):
    """A frozen image encoder, loaded."""

    preprocess: Preprocess
    device: "torch.device"  # noqa: F821 - torch is imported only where tensors are touched

    def describe(self) -> dict[str, Json]:
        """What only loading tells: `weights_sha256`, `width`, ... and `library` (said, no part of the identity)."""

    def encode_images(self, pixels: "torch.Tensor") -> "torch.Tensor":  # noqa: F821
        """(b, 3, h, w) uint8 -> (b, w) float32, raw."""


@dataclass(frozen=True)
class Job:
    """One extraction: whose pictures, what settings, into which folder.

    Attributes:
        settings: every setting of the encoder that changes a number, by name; known without loading it.
        weights: SHA-256 of the weights where they are at hand, else None; compared with a finished cache's.
        load: builds the encoder on the device it is given (see `run.device`); called only if there is something to
            encode, by each worker. Picklable.
        out: folder or address of the cache.
    """

    manifest: Manifest
    root: Callable[[], Path]
    settings: dict[str, Json]
    weights: Callable[[], str | None]
    load: Callable[[str], Encoder]
    out: Path | str
