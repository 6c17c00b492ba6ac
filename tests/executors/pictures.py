"""Real pictures and the tiny CLIP as an extraction for any executor."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets import Listing, Row
from pipeline.extraction.clip_job import clip_job
from pipeline.extraction.job import Job
from pipeline.manifest import build_manifest
from pipeline.params import CacheParams, ClipParams, RunParams

CACHE = CacheParams(shard_rows=4, dtype="float32")
RUN = RunParams(device="cpu", batch_size=3, workers=0)


def draw_faces(folder: Path, count: int) -> Path:
    """Small noisy pictures, the sixth of them broken."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    (folder / "005.png").write_bytes(b"no picture")
    return folder


def face_job(faces: Path, model: ClipParams, out: Path) -> Job:
    names = sorted(path.name for path in faces.iterdir())
    listing = Listing(tuple(Row(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"))
    return clip_job(build_manifest("faces", faces, listing), partial(Path, faces), model, out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
