"""`expclip-cache verify`."""

from typing import Annotated

import typer

from expclip_cache.base import handle_errors, printable


def verify(
    cache: Annotated[
        str,
        typer.Argument(metavar="CACHE", help="Folder with shards and index.json, or its address: s3://bucket/photos."),
    ],
    manifest: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What the cache was made from; by default its own manifest.arrow."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES",
            help="Folder or address of the raw images: read them too and compare them with the manifest.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Read only so many shards, and so many rows of the raw images, spread evenly; list the rest.",
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Delete what is broken; the next extract makes only that.")
    ] = False,
) -> None:
    """Read every byte of a cache and say what is broken.

    The exit code is 1 if anything is.

    Example: expclip-cache verify features/photos --images photos/
    """
    with handle_errors():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter
        from expclip_cache.cache import repair as verify_and_delete
        from expclip_cache.cache import verify_cache
        from expclip_cache.commands.cache_tables import verification_to_terminal
        from expclip_cache.commands.manifest_argument import manifest_file
        from expclip_cache.datasets import read_manifest, root_at

        root = root_at(images) if images else None
        given = read_manifest(manifest_file(manifest)) if manifest else None
        deleted = list[str]()
        if repair:
            found, deleted = verify_and_delete(cache, TerminalReporter(), given, root, sample)
        else:
            found = verify_cache(cache, TerminalReporter(), given, root, sample)
        Console().print(verification_to_terminal(found))
        if not found.broken:
            typer.echo(printable(f"{cache}: intact"))
            return
        broken = f"{len(found.broken)} of {len(found.findings)} parts are broken or missing"
        typer.echo(printable(f"{cache}: {broken}"))
        if repair:
            typer.echo(f"deleted: {', '.join(deleted) or 'nothing'}. Run the extraction again to make what is missing.")
        raise typer.Exit(1)
