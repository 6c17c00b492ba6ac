"""A set of demo faces on disk, in one folder per expression or all in one folder.

<out>/<expression>/<00042>.png            labelled images
<out>/<00042>.png                         unlabelled images
<out>/<expression>/<00042>/<000>.png      labelled clips, one folder of frames each
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from expclip_cache.base import DataError, process_map
from expclip_cache.demo.drawing.action_units import EXPRESSIONS
from expclip_cache.demo.drawing.sets import FRAMES, draw_items
from expclip_cache.demo.settings import DemoSetSettings

_CHUNK = 64
"""Images that are drawn at once."""

_SMALL = 256
"""Sets of up to this many images are drawn in the calling process."""


def item_files(settings: DemoSetSettings, index: int) -> list[str]:
    """The file of one item, or of each of its frames; posix, relative to the set's folder."""
    item = f"{EXPRESSIONS[index % len(EXPRESSIONS)]}/{index:05d}" if settings.labelled else f"{index:05d}"
    return [f"{item}.png"] if settings.kind == "images" else [f"{item}/{frame:03d}.png" for frame in range(FRAMES)]


def set_files(settings: DemoSetSettings) -> set[str]:
    """All files of a set."""
    return {file for index in range(settings.count) for file in item_files(settings, index)}


def render_set(settings: DemoSetSettings, out: Path, progress: Callable[[int], None] | None = None) -> None:
    """Draw a whole set, with one process per processor.

    Args:
        settings: of the set.
        out: the folder to fill; it must be new or empty, so that files of another set cannot mix in.
        progress: called with the number of items finished since the last call.

    Raises:
        DataError: `out` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError(
            f"{out}: expected a new or empty folder for a demo set, found files in it. Delete it "
            "or choose another folder."
        )
    folders = {out / expression if settings.labelled else out for expression in EXPRESSIONS}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    frames = FRAMES if settings.kind == "clips" else 1
    step = -(-_CHUNK // frames)
    chunks = [range(start, min(start + step, settings.count)) for start in range(0, settings.count, step)]
    draw = partial(_write_chunk, settings, out)
    processes = 1 if settings.count * frames <= _SMALL else min(os.cpu_count() or 1, len(chunks))
    with _one_thread(), process_map(processes) as apply:
        for chunk, _ in zip(chunks, apply(draw, chunks), strict=True):
            if progress:
                progress(len(chunk))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep OpenCV from using threads: they do not help here, and a forked process would wait for them for ever."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _write_chunk(settings: DemoSetSettings, out: Path, chunk: range) -> None:
    for index, images in zip(chunk, draw_items(settings, chunk), strict=True):
        files = item_files(settings, index)
        if settings.kind == "clips":
            (out / files[0]).parent.mkdir()
        for file, image in zip(files, images, strict=True):
            _write(f"{out}/{file}", image)


def _write(path: str, image: np.ndarray) -> None:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert encoded
    with Path(path).open("wb", buffering=0) as file:
        file.write(data.data)
