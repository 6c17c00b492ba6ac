"""Files that DVC rewrites in place, and that a kill at that moment leaves unreadable: dvc.lock and its rwlock.

Nothing that DVC records there is needed to find what the stages have made: they know it by its identity. So a file that
cannot be read may be replaced by an older one, or by none, and stages that run again find their work done.
"""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expclip_cache.base import SettingsError, write_atomically

LOCK_FILE = Path("dvc.lock")
TEMPORARY = Path(".dvc/tmp")
RWLOCK = TEMPORARY / "rwlock"
GUARDS = (TEMPORARY / "lock", TEMPORARY / "rwlock.lock")
"""DVC locks the first while it works, except while a stage runs, and the second while it rewrites `RWLOCK`."""


def repair_dvc_files(root: Path) -> list[str]:
    """Repair what a kill of DVC left unreadable.

    Args:
        root: of the repository, the folder of `.dvc`.

    Returns:
        What was wrong and what was done, one line for each file; empty if both files are intact.

    Raises:
        SettingsError: there is no DVC repository, or DVC is at work in it.
    """
    if not (root / ".dvc").is_dir():
        raise SettingsError(f"{root}: is not a DVC repository (no folder .dvc). Run this where dvc.yaml is.")
    with _dvc_kept_out(root):
        return [line for line in (_repair_rwlock(root), _repair_lock_file(root)) if line]


@contextmanager
def _dvc_kept_out(root: Path) -> Iterator[None]:
    """Hold DVC's own locks."""
    (root / TEMPORARY).mkdir(exist_ok=True)
    files = [(root / guard).open("a+") for guard in GUARDS]
    try:
        for file in files:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SettingsError(f"{root}: DVC is at work here. Wait for it to end, or stop it.") from None
        yield
    finally:
        for file in files:
            file.close()


def _repair_rwlock(root: Path) -> str:
    file = root / RWLOCK
    if not file.exists():
        return ""
    try:
        if isinstance(json.loads(file.read_bytes()), dict):
            return ""
    except (ValueError, RecursionError):
        pass
    _set_aside(root, file)
    return f"{RWLOCK}: cannot be read (DVC was killed while it wrote it); removed, DVC makes a new one"


def _repair_lock_file(root: Path) -> str:
    file = root / LOCK_FILE
    if not file.exists() or is_lock_file(file.read_bytes()):
        return ""
    _set_aside(root, file)
    done = "removed"
    committed = subprocess.run(("git", "show", f"HEAD:./{LOCK_FILE}"), cwd=root, capture_output=True, check=False)
    if committed.returncode == 0 and is_lock_file(committed.stdout):
        write_atomically(file, committed.stdout)
        done = "replaced by that of the last commit"
    return (
        f"{LOCK_FILE}: cannot be read (DVC was killed while it wrote it); {done}. `dvc repro` runs stages again that "
        "are not in it; they find what they have made and make nothing twice"
    )


def is_lock_file(content: bytes) -> bool:
    """Whether DVC can read this as its lock file. A file that was cut between two stages is one, and only shorter."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML, YAMLError
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(content.decode("utf-8")))
    except (YAMLError, Invalid, UnicodeDecodeError, RecursionError):
        return False
    return True


def _set_aside(root: Path, file: Path) -> None:
    """Keep what is there, for whoever wants to look at it."""
    os.replace(file, root / TEMPORARY / f"{file.name}.unreadable")  # noqa: PTH105 - replaces an older one
