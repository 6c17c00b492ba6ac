"""Find the face in every image of a dataset, once; what was found survives an interruption."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from expclip_cache.base import (
    DataError,
    LostWorkerError,
    Reporter,
    SilentReporter,
    make_folder,
    process_map,
    sole_process,
)
from expclip_cache.datasets import NO_FACE, Manifest, ManifestRow, Root
from expclip_cache.encoders import read_row_images
from expclip_cache.faces.crop_file import (
    Boxes,
    add_boxes,
    begin_search,
    known_boxes,
    manifest_with_boxes,
    row_key,
    with_crops,
    write_crops,
)
from expclip_cache.faces.detector import DETECTOR, FaceFinder, fill_gaps

CHUNK = 8
"""Rows that a process searches at once."""

KEEP_SECONDS = 10
"""What is found in this time may be lost."""


def complete_crops(
    manifest: Manifest,
    root: Callable[[], Root],
    file: str | Path,
    report: Reporter | None = None,
    processes: int | None = None,
) -> Manifest:
    """Find the largest face in every image of a manifest; nothing to do if the file has all of them.

    Neither the images nor the detector are touched for a complete file. Images whose content was searched before are
    not searched again, even if the manifest has changed.

    Args:
        root: gives the folder or address of the images; called only if there is something to search.
        file: for the boxes.
        report: shows a progress bar, and says in how many images no face was found; by default nobody hears it.
        processes: how many search at once; by default one per processor.

    Returns:
        The manifest with the boxes.

    Raises:
        CacheError: the file cannot be written.
        DataError: the images are not those of the manifest.
        EncoderError: the detector is not installed.
        FileAccessError: an image cannot be read at the moment.
        LostWorkerError: a process died.
    """
    file, report = Path(file), report or SilentReporter()
    with suppress(DataError):
        return with_crops(manifest, file, DETECTOR)
    make_folder(file.parent)
    with sole_process(file.with_name(f".{file.name}.lock")):
        unfinished = file.with_name(f".{file.name}.unfinished")
        known = known_boxes(file, DETECTOR) | known_boxes(unfinished, DETECTOR)
        todo = _not_searched(manifest, known)
        if todo:
            begin_search(unfinished, DETECTOR, known)
            known |= _search(manifest, root(), todo, unfinished, report, processes or os.cpu_count() or 1)
        write_crops(file, manifest, DETECTOR, known)
        unfinished.unlink(missing_ok=True)
    cropped = manifest_with_boxes(manifest, known)
    without = sum(all(box == NO_FACE for box in row.boxes) for row in cropped.rows)
    if without:
        report.say(
            f"{manifest.name}: no face was found in {without} of {len(cropped.rows)} items, which count as items that "
            "cannot be read"
        )
    return cropped


def _not_searched(manifest: Manifest, known: Mapping[str, Boxes]) -> list["Search"]:
    """One row for each content that is not known."""
    todo: dict[str, Search] = {}
    for row_id, row in enumerate(manifest.rows):
        key = row_key(row, manifest)
        if key not in known:
            todo.setdefault(key, Search(key, row_id, row))
    return list(todo.values())


@dataclass(frozen=True)
class Search:
    """A row in which faces are to be found."""

    key: str
    row_id: int
    row: ManifestRow


def _search(
    manifest: Manifest, root: Root, todo: Sequence[Search], unfinished: Path, report: Reporter, processes: int
) -> dict[str, Boxes]:
    """Search the rows in several processes; what is found goes to the file every few seconds."""
    FaceFinder()  # an error of the detector's is told here, and not by a process
    # Without its rows: it goes to the processes with every chunk.
    find = partial(_find_in_rows, replace(manifest, rows=()), root)
    chunks = [todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK)]
    found: dict[str, Boxes] = {}
    kept, last = 0, time.monotonic()
    try:
        with (
            process_map(min(processes, len(chunks))) as apply,
            report.bar(f"finding faces in {manifest.name}", len(todo), "row") as bar,
        ):
            for chunk, boxes in zip(chunks, apply(find, chunks), strict=True):
                found |= zip((search.key for search in chunk), boxes, strict=True)
                bar.advance(len(chunk))
                if time.monotonic() - last > KEEP_SECONDS:
                    add_boxes(unfinished, list(found.items())[kept:])
                    kept, last = len(found), time.monotonic()
    except BrokenProcessPool:
        raise LostWorkerError(
            f"{manifest.name}: a process that was finding faces died. Run the same command again; what was found is "
            "kept."
        ) from None
    finally:
        if unfinished.exists():
            add_boxes(unfinished, list(found.items())[kept:])
    return found


def _find_in_rows(manifest: Manifest, root: Root, searches: Sequence[Search]) -> list[Boxes]:
    finder = FaceFinder()
    return [_find_in_row(finder, manifest, root, search) for search in searches]


def _find_in_row(finder: FaceFinder, manifest: Manifest, root: Root, search: Search) -> Boxes:
    """The box in each of a row's files; `NO_FACE` in all of them if none has a face or one cannot be decoded."""
    images, reason = read_row_images(manifest, root, search.row_id, search.row)
    # The extraction meets the same reason and records it.
    distinct = {} if reason else {id(image): image for image in images}
    faces = {key: finder.find(image) for key, image in distinct.items()}
    if not any(faces.values()):
        return (NO_FACE,) * len(search.row.files)
    return tuple(face.box for face in fill_gaps([faces[id(image)] for image in images]))
