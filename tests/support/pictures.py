"""Real pictures and the tiny CLIP as an extraction for any executor."""

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.datasets.listing import Listing, Row
from expclip_cache.datasets.manifest import build_manifest
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.extraction.jobs import Job, clip_job
from expclip_cache.workers.settings import RunSettings

CACHE = CacheSettings(shard_rows=2, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=3, workers=0)


class Told(SilentReporter):
    """Remembers lines and bars."""

    def __init__(self):
        self.lines, self.bars = [], []

    def say(self, line):
        self.lines.append(line)

    def bar(self, title, total, unit):
        self.bars.append((title, total, unit))
        return super().bar(title, total, unit)


def draw_faces(folder: Path, count: int) -> Path:
    """Small noisy pictures, the sixth of them broken."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    (folder / "005.png").write_bytes(b"no picture")
    return folder


def face_job(faces: Path, model: ClipSettings, out: Path) -> Job:
    names = sorted(path.name for path in faces.iterdir())
    listing = Listing(tuple(Row(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"))
    return clip_job(build_manifest("faces", faces, listing), partial(Path, faces), model, out)


def held_up(job: Job, notes: Path) -> Job:
    """The same job with an encoder that leaves its process id in `notes` and waits for a file `go` there."""
    return replace(job, load=partial(_load_held_up, job.load, notes))


def _load_held_up(load, notes: Path, device: str):
    encoder = load(device)
    encode = encoder.encode_images

    def encode_when_told(pixels):
        (notes / str(os.getpid())).touch()
        while not (notes / "go").exists():
            time.sleep(0.02)
        return encode(pixels)

    encoder.encode_images = encode_when_told
    return encoder


def not_the_same_everywhere(job: Job, notes: Path) -> Job:
    """The same job, but every worker has weights of its own, and the first waits for a second."""
    return replace(job, load=partial(_load_another, job.load, notes))


def _load_another(load, notes: Path, device: str):
    encoder = load(device)
    (notes / f"{os.getpid()}.loaded").touch()
    while len(list(notes.glob("*.loaded"))) < 2:
        time.sleep(0.02)
    described = encoder.describe() | {"weights_sha256": f"those of process {os.getpid()}"}
    encoder.describe = lambda: dict(described)
    return encoder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
