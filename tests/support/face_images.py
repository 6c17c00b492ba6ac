"""A folder of real image files and the tiny CLIP, as an extraction that any executor can run."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from changed_jobs import with_encoder
from expclip_cache.base import Bar, SilentReporter
from expclip_cache.cache import CacheSettings, Json
from expclip_cache.datasets import ListedRow, Listing, hash_listing
from expclip_cache.encoders import ClipSettings
from expclip_cache.extraction import Job, clip_encoder, clip_job
from expclip_cache.extraction.jobs import Encoder
from expclip_cache.workers import RunSettings

CACHE = CacheSettings(shard_rows=2, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=3, workers=0)


class RecordingReporter(SilentReporter):
    """Records lines and bars."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bars: list[tuple[str, int, str]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def bar(self, title: str, total: int, unit: str) -> Iterator[Bar]:
        self.bars.append((title, total, unit))
        with super().bar(title, total, unit) as bar:
            yield bar


def write_images(folder: Path, count: int, bad: Sequence[int] = (5,)) -> Path:
    """Small images of random pixels; some files, by default the sixth, are not images."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    for number in bad:
        (folder / f"{number:03d}.png").write_bytes(b"not an image")
    return folder


def image_job(images: Path, model: ClipSettings, out: Path) -> Job:
    names = sorted(path.name for path in images.iterdir())
    listing = Listing(tuple(ListedRow(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"))
    return clip_job(hash_listing("faces", images, listing), partial(Path, images), model, out)


def image_and_clip_jobs(images: Path, model: ClipSettings, out: Path) -> list[Job]:
    """Eight images, six clips of two frames, and all images backwards: three datasets of one encoder."""
    names = sorted(path.name for path in images.iterdir())
    rows = {
        "some": [ListedRow(name, -1, (name,)) for name in names[:8]],
        "clips": [ListedRow(f"clip-{k}", -1, (names[2 * k], names[2 * k + 3])) for k in range(6)],
        "backwards": [ListedRow(name, -1, (name,)) for name in names[::-1]],
    }
    manifests = [hash_listing(name, images, Listing(tuple(listed), ())) for name, listed in rows.items()]
    encoder = clip_encoder(model)
    return [Job(manifest, partial(Path, images), encoder, out / manifest.name) for manifest in manifests]


def paused(job: Job, notes: Path) -> Job:
    """The same job with an encoder that writes its process id to `notes` and waits there for a file `go`."""
    return with_encoder(job, load=partial(_load_paused, job.encoder.load, notes))


def _load_paused(
    load: Callable[[Sequence[str], str], Encoder], notes: Path, commits: Sequence[str], device: str
) -> Encoder:
    encoder = load(commits, device)
    encode = encoder.encode_images

    def encode_after_go(pixels: torch.Tensor) -> torch.Tensor:
        (notes / str(os.getpid())).touch()
        while not (notes / "go").exists():
            time.sleep(0.02)
        return encode(pixels)

    encoder.encode_images = encode_after_go
    return encoder


def noted(job: Job, notes: Path) -> Job:
    """The same job; each time its encoder is loaded, a file is added to `notes`."""
    return with_encoder(job, load=partial(_load_noted, job.encoder.load, notes))


def _load_noted(
    load: Callable[[Sequence[str], str], Encoder], notes: Path, commits: Sequence[str], device: str
) -> Encoder:
    (notes / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return load(commits, device)


def with_different_weights(job: Job, notes: Path) -> Job:
    """The same job, but each worker reports other weights, and no worker starts before a second one has loaded."""
    return with_encoder(job, load=partial(_load_different, job.encoder.load, notes))


def _load_different(
    load: Callable[[Sequence[str], str], Encoder], notes: Path, commits: Sequence[str], device: str
) -> Encoder:
    encoder = load(commits, device)
    (notes / f"{os.getpid()}.loaded").touch()
    while len(list(notes.glob("*.loaded"))) < 2:
        time.sleep(0.02)
    described: dict[str, Json] = encoder.describe() | {"weights_sha256": f"of process {os.getpid()}"}
    encoder.describe = lambda: dict(described)
    return encoder


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
