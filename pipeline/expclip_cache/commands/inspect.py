"""`expclip-cache inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expclip_cache.base import handle_errors

if TYPE_CHECKING:
    from rich.console import RenderableType

MANIFESTS = (".arrow", ".jsonl")
"""Suffixes of the files of manifests."""


def inspect(
    cache: Annotated[
        str,
        typer.Argument(
            metavar="CACHE|MANIFEST",
            help="Folder with shards and index.json, or its address: s3://bucket/photos. Or a manifest, such as "
            "manifests/raf-db.arrow.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    rows: Annotated[bool, typer.Option("--rows", help="Print every row of a manifest as a line of JSON.")] = False,
) -> None:
    """Say what is in a cache, or in a manifest.

    Of a cache its settings, encoder, rows, labels, shards and unreadable images; whether its bytes are right, verify
    says. Of a manifest its classes, notes and rows.

    Example: expclip-cache inspect features/photos --json
    """
    with handle_errors():
        import json

        from rich.console import Console

        from expclip_cache.base import SettingsError
        from expclip_cache.commands.manifest_argument import manifest_file

        if rows:
            file = manifest_file(cache)
            if not _is_manifest(cache):
                raise SettingsError(f"--rows: {cache} is not a manifest. Name its file, such as {file}/manifest.arrow.")
            _print_rows(file)
            return
        found, shown = _manifest(manifest_file(cache)) if _is_manifest(cache) else _cache(cache)
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            Console().print(shown)


def _is_manifest(place: str) -> bool:
    """Whether it is, or is called, the file of a manifest. A cache is a folder."""
    path = Path(place)
    return not path.is_dir() and (path.exists() or path.suffix in MANIFESTS)


def _cache(place: str) -> "tuple[dict[str, object], RenderableType]":
    """What is in a cache, and the same for a terminal."""
    from expclip_cache.cache import inspect_cache
    from expclip_cache.commands.cache_tables import description_to_terminal

    found = inspect_cache(place)
    return found, description_to_terminal(found)


def _manifest(file: Path) -> "tuple[dict[str, object], RenderableType]":
    """What is in a manifest, and the same for a terminal."""
    from expclip_cache.commands.cache_tables import SHOWN, manifest_to_terminal
    from expclip_cache.datasets import describe_manifest, read_manifest

    manifest = read_manifest(file)
    found = describe_manifest(manifest)
    return found, manifest_to_terminal(found, manifest.rows[:SHOWN])


def _print_rows(file: Path) -> None:
    from expclip_cache.datasets import read_manifest, rows_as_json

    for lines in rows_as_json(read_manifest(file)):
        typer.echo(lines.decode("ascii"), nl=False)
