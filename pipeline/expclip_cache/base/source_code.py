"""What code made something: a hash over the source files of packages."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable


def source_sha256(*packages: str) -> str:
    """SHA-256, hex, of the names and contents of every Python file of some packages, subpackages included.

    For what is made again in seconds, so that an edit of a comment may make it again: drawn faces, heads, scores.
    """
    digest = hashlib.sha256()
    for package in packages:
        for name, content in _sources(files(package), package):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _sources(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            found += _sources(entry, path)
        elif entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))
    return found
