"""Decode rows of a manifest in worker processes, ahead of the encoder."""

import multiprocessing.connection
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from expclip_cache.base import (
    CONCURRENT,
    DataError,
    FileAccessError,
    LostWorkerError,
    exit_with_parent,
    stop_signals_blocked,
    thread_map,
)
from expclip_cache.datasets import Address, Manifest, Root, is_video
from expclip_cache.encoders import (
    Preprocess,
    decode_pixels,
    decode_row_images,
    give_back_freed_memory,
    read_row_files,
    reason_of,
    to_square,
    unreadable,
)
from expclip_cache.extraction.batch import SHARED_MEMORY, Batch, PipedBatch, free_shared_memory
from expclip_cache.extraction.kept_pixels import KeptPixels

AHEAD = 2
"""Batches that each worker decodes ahead."""

STALL_SECONDS = 300
"""A worker that delivers nothing for this long counts as hung (a dead network share, say)."""


@dataclass(frozen=True)
class Images:
    """The images of one dataset.

    Attributes:
        root: their folder or address.
        keep_in: folder where decoded images are kept, and taken from if they are there already.
    """

    manifest: Manifest
    root: Root
    keep_in: Path | None = None


class _Decoder(Dataset[Batch | PipedBatch]):
    """Maps rows of a dataset to what is decoded from them; runs inside the workers.

    Attributes:
        ahead: batches that may be on their way at once.
    """

    def __init__(self, images: Sequence[Images], how: Preprocess, kept: Sequence[KeptPixels | None], ahead: int):
        self.images, self.how, self.kept, self.ahead = images, how, kept, ahead

    def __getitem__(self, place: tuple[int, range]) -> Batch | PipedBatch:
        dataset, rows = place
        size = self.how.size
        pixels = np.zeros((len(rows), self.images[dataset].manifest.frames, 3, size, size), dtype=np.uint8)
        errors, failure = list[str](), ""
        try:
            errors = self._decode_rows(self.images[dataset], self.kept[dataset], rows, pixels)
        except DataError as error:
            # As a value: an exception would reach the client wrapped in the loader's own words.
            failure = str(error)
        piped = PipedBatch(rows, pixels, tuple(errors), failure)
        # Torch hands over its tensors in shared memory, and a process that finds none is killed without a word.
        return piped if pixels.nbytes * self.ahead > free_shared_memory() else piped.in_memory

    def _decode_rows(self, images: Images, kept: KeptPixels | None, rows: range, pixels: np.ndarray) -> list[str]:
        """Fill (n, f, 3, size, size) with the rows' frames; says of each row why one cannot be read, or nothing.

        Raises:
            DataError: the files are not those of the manifest, or decoded images cannot be kept.
            FileAccessError: a file that could be read when the manifest was made cannot be read now.
        """
        manifest, errors = images.manifest, [""] * len(rows)
        missing = [place for place, row_id in enumerate(rows) if not (kept and _taken(kept, row_id, pixels[place]))]
        # A store answers late, but many questions at once.
        threads = CONCURRENT if isinstance(images.root, Address) else 1

        def read(place: int) -> tuple[dict[str, bytes], str]:
            return read_row_files(manifest.name, images.root, rows[place], manifest.rows[rows[place]])

        for place, (files, reason) in zip(missing, thread_map(read, missing, threads), strict=True):
            decoded, reason = ([], reason) if reason else self._decode(images, rows[place], files)
            errors[place] = reason
            for frame, square in enumerate(decoded):
                pixels[place, frame] = square
                if kept:
                    kept.keep(rows[place], frame, pixels[place, frame])
            if reason:
                pixels[place] = 0
        return errors

    def _decode(self, images: Images, row_id: int, files: Mapping[str, bytes]) -> tuple[list[np.ndarray], str]:
        """The pixels of each frame of a row, or the reason if one cannot be decoded."""
        manifest, row = images.manifest, images.manifest.rows[row_id]
        if row.boxes or is_video(row.files[0]):
            frames, reason = decode_row_images(manifest, images.root, row_id, row, files)
            return [to_square(frame, self.how) for frame in frames], reason
        square_of: dict[str, np.ndarray] = {}
        for name, file in files.items():
            try:
                square_of[name] = decode_pixels(file, self.how, manifest.appearance or "stored")
            except FileAccessError as error:
                raise unreadable(manifest.name, images.root, row_id, row, name, error) from None
            except DataError as error:
                return [], reason_of(row, name, error)
        return [square_of[name] for name in row.files], ""


def _taken(kept: KeptPixels, row_id: int, pixels: np.ndarray) -> bool:
    """Whether all frames of a row are kept; they are copied to (f, 3, size, size)."""
    return all(kept.take(row_id, frame, pixels[frame]) for frame in range(len(pixels)))


@contextmanager
def decode_batches(
    images: Sequence[Images],
    how: Preprocess,
    batches: Iterable[tuple[int, range]],
    *,
    workers: int,
    pin: bool,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Iterator[Batch]]:
    """Decode batches in order, `workers` processes ahead (0: in this process), while the block runs.

    However the block ends, no worker outlives it.

    Args:
        images: of each dataset.
        batches: place in `images` and rows of each; taken one by one, a little ahead of the decoding, so they may be
            computed late.
        say: told if shared memory is scarce.

    Raises:
        DataError: decoded images cannot be kept, or no process can be started.
        LostWorkerError: a worker died or hung; the message says which and what to do.
    """
    kept = [KeptPixels(each.keep_in, each.manifest, how) if each.keep_in else None for each in images]
    for file in filter(None, kept):
        file.prepare()
    ahead: deque[int] = deque()
    options: dict[str, Any] = {}
    if workers:
        options = {"prefetch_factor": AHEAD, "worker_init_fn": partial(_begin_worker, os.getpid())}
        if sys.platform == "linux":
            # A forked process decodes at once; another one would first import what this one has, an encoder included.
            options["multiprocessing_context"] = "fork"
    loader = DataLoader(
        _Decoder(images, how, kept, AHEAD * workers),
        batch_size=None,
        sampler=_noted(batches, ahead),
        num_workers=workers,
        pin_memory=pin,
        **options,
    )
    before = set(multiprocessing.active_children())
    children: list[BaseProcess] = []
    stalled = threading.Event()
    try:
        # What runs around a fork swallows a KeyboardInterrupt, so signals wait until the workers are there.
        with stop_signals_blocked(forked=sys.platform == "linux"):
            batches_in_order = _started(loader)
            children += [child for child in multiprocessing.active_children() if child not in before]
        yield _in_memory(_watched(batches_in_order, children, ahead, stalled), say)
    except _StalledError:
        raise _lost(images, ahead, f"delivered nothing for {STALL_SECONDS} s") from None
    except RuntimeError as error:
        # Torch notices a dead worker by signal, so this can come out of any line of the block.
        if "DataLoader" not in str(error):
            raise
        if stalled.is_set():  # another worker that was killed for it
            raise _lost(images, ahead, f"delivered nothing for {STALL_SECONDS} s") from None
        raise _lost(images, ahead, f"died ({str(error).splitlines()[0]})") from None
    finally:
        _kill(children)
        for file in filter(None, kept):
            file.close()


def _started(loader: "DataLoader[Batch | PipedBatch]") -> Iterator[Batch | PipedBatch]:
    try:
        return iter(loader)
    except OSError as error:
        raise DataError(
            f"no decoding process can be started ({error.strerror}; {SHARED_MEMORY} must be writable). Repair that, or "
            "decode in the encoder's own process: run.workers: 0."
        ) from None


def _in_memory(batches: Iterator[Batch | PipedBatch], say: Callable[[str], None]) -> Iterator[Batch]:
    told = False
    for batch in batches:
        if isinstance(batch, Batch):
            yield batch
            continue
        if not told:
            free, each = free_shared_memory() / 1e6, batch.pixels.nbytes / 1e6
            say(
                f"{SHARED_MEMORY} has {free:.0f} MB left, too little for several batches of {each:.0f} MB, so they "
                "take a slower way. In a container, give it more: docker run --shm-size=2g."
            )
        told = True
        yield batch.in_memory


def _noted(batches: Iterable[tuple[int, range]], ahead: deque[int]) -> Iterator[tuple[int, range]]:
    """The batches; `ahead` gets the dataset of each, in the order in which they will be decoded."""
    for dataset, rows in batches:
        ahead.append(dataset)
        yield dataset, rows


def _begin_worker(parent: int, _: int) -> None:
    # Torch's workers watch for their parent themselves, but may find another process with its id.
    exit_with_parent(parent)
    # A decoder's blocks of memory are as large as the images, and each of another size.
    give_back_freed_memory()


def _lost(images: Sequence[Images], ahead: Iterable[int], how: str) -> LostWorkerError:
    """Names the folders from which something was to be decoded."""
    roots = dict.fromkeys(str(images[dataset].root) for dataset in ahead)
    return LostWorkerError(
        f"{', '.join(roots)}: a decoding worker {how}. If memory ran out, use fewer workers or smaller batches; "
        "finished shards are kept."
    )


class _StalledError(Exception):
    """No batch came in time."""


def _watched(
    batches: Iterator[Batch | PipedBatch], workers: Sequence[BaseProcess], ahead: deque[int], stalled: threading.Event
) -> Iterator[Batch | PipedBatch]:
    """The batches, each no longer `ahead`; if one does not come in time, the workers are killed, which ends any wait.

    Torch's own time limit does not cover the moment in which a tensor is handed over. `stalled` is set before they are
    killed.
    """
    while True:

        def give_up() -> None:
            stalled.set()
            for worker in workers:
                worker.kill()

        timer = threading.Timer(STALL_SECONDS, give_up)
        timer.daemon = True
        if workers:
            timer.start()
        try:
            batch = next(batches, None)
        except (RuntimeError, OSError, EOFError) as error:
            if stalled.is_set():
                raise _StalledError from None
            if "DataLoader" in str(error) or not _has_ended(workers):
                raise
            # A worker that dies while it hands over a tensor shows as a broken connection, or in torch's own thread.
            raise RuntimeError(f"DataLoader worker broke off: {type(error).__name__}") from None
        finally:
            timer.cancel()
        if batch is None:
            return
        if batch.failure:
            raise DataError(batch.failure)
        yield batch
        ahead.popleft()


def _has_ended(workers: Sequence[BaseProcess]) -> bool:
    """Whether a worker has ended, or is about to: its connections close a moment before its end can be seen."""
    return bool(workers and multiprocessing.connection.wait([worker.sentinel for worker in workers], timeout=5))


def _kill(workers: Sequence[BaseProcess]) -> None:
    """End workers that may be stopped or stuck: a join could hang, and there is nothing to lose.

    An image that one of them is keeping at the time fails its checksum.
    """
    main = threading.current_thread() is threading.main_thread()
    # Torch's handler would take their end for a failure and raise in the middle of whatever is running.
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if main else None
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    if main:
        signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)


def plan_batches(parts: Sequence[range], rows_per_batch: int) -> tuple[range, ...]:
    """Cut each part (the rows of one shard) into batches; no batch crosses the border of a part.

    >>> plan_batches([range(0, 5), range(5, 7)], 3)
    (range(0, 3), range(3, 5), range(5, 7))
    """
    return tuple(
        range(start, min(start + rows_per_batch, part.stop))
        for part in parts
        for start in range(part.start, part.stop, rows_per_batch)
    )
