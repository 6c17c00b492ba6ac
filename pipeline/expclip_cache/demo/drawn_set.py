"""A drawn set on disk that knows what it is: drawn when it is needed, used as it is when it is there.

A hidden file inside the folder, written last, records the settings and the hash of the drawing code. A set is drawn
into a hidden folder beside its own, which then takes its place, so a folder without that file was not drawn here.
"""

import json
import os
import shutil
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from expclip_cache.base import DataError, LostWorkerError, Reporter, sole_process, source_sha256, write_atomically
from expclip_cache.demo.drawing.render import render_set, set_files
from expclip_cache.demo.settings import DemoSetSettings

RECORD = ".drawn.json"
"""The file that makes a folder a drawn set."""

DRAWING = "expclip_cache.demo.drawing"
"""The package that decides what is in an image."""


def is_drawn(settings: DemoSetSettings, folder: Path) -> bool:
    """Whether a folder holds the whole set, drawn with these settings by this code; no image is read."""
    return _recorded(folder) == _record(settings) and _files(folder) == set_files(settings)


def draw_set(name: str, settings: DemoSetSettings, folder: Path, report: Reporter) -> None:
    """Draw a set unless the folder holds it already; a set with other settings, or a part of one, is replaced.

    Of several processes that draw the same set at once, one does and the others wait for it.

    Args:
        name: for the progress bar.
        settings: of the set.
        folder: where it is to be; its parent folder is made if necessary.
        report: shows a progress bar if there is something to draw.

    Raises:
        DataError: the folder holds files that were not drawn here, which are left as they are; or it cannot be written.
        LostWorkerError: a process that was drawing died.
    """
    if is_drawn(settings, folder):
        return
    unfinished, replaced = _beside(folder, "unfinished"), _beside(folder, "replaced")
    try:
        with sole_process(_beside(folder, "lock")):
            for left in (unfinished, replaced):
                if left.exists():
                    shutil.rmtree(left)
            if is_drawn(settings, folder):  # another process drew it in the meantime
                return
            _require_replaceable(folder)
            with report.bar(f"drawing {name}", settings.count, settings.kind.removesuffix("s")) as bar:
                render_set(settings, unfinished, bar.advance)
            write_atomically(unfinished / RECORD, json.dumps(_record(settings)).encode())
            if folder.exists():
                folder.rename(replaced)
            unfinished.rename(folder)
            if replaced.exists():
                shutil.rmtree(replaced)
    except BrokenProcessPool:
        raise LostWorkerError(f"{folder}: a process that was drawing died; run the same command again.") from None
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be drawn ({error}). Free some space or correct the folder's "
            "permissions, then run the same command again."
        ) from None


def _record(settings: DemoSetSettings) -> dict[str, Any]:
    return {"draw": settings.model_dump(mode="json"), "code": source_sha256(DRAWING)}


def _recorded(folder: Path) -> dict[str, Any] | None:
    """What a folder's record says; None without a record."""
    try:
        found = json.loads((folder / RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _require_replaceable(folder: Path) -> None:
    """Raise unless the folder is missing, empty, or holds only files of the set that its record names."""
    if not folder.is_symlink() and not folder.exists():
        return
    advice = "Move it elsewhere or delete it, then run the same command again."
    if folder.is_symlink() or not folder.is_dir():
        found = "a link to something else" if folder.is_symlink() else "a file"
        raise DataError(f"{folder}: expected a drawn set, an empty folder or nothing, found {found}. {advice}")
    drawn = set[str]()
    if recorded := _recorded(folder):
        with suppress(ValidationError):
            drawn = set_files(DemoSetSettings.model_validate(recorded.get("draw")))
    if others := _files(folder) - drawn:
        raise DataError(
            f"{folder}: expected a drawn set, found files that were not drawn here ({len(others)}, such as "
            f"{min(others)}). Move them elsewhere or delete them, then run the same command again."
        )


def _files(folder: Path) -> set[str]:
    """Files below a folder, relative to it, but no hidden ones."""
    found = set[str]()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = Path(place).relative_to(folder).as_posix()
        found.update(name if prefix == "." else f"{prefix}/{name}" for name in files if not name.startswith("."))
    return found


def _beside(folder: Path, purpose: str) -> Path:
    """A hidden neighbour of a folder, on the same file system."""
    return folder.absolute().with_name(f".{folder.name}.{purpose}")
