"""`expclip-cache inspect`."""

from typing import Annotated

import typer

from expclip_cache.base import handle_errors


def inspect(
    cache: Annotated[
        str,
        typer.Argument(metavar="CACHE", help="Folder with shards and index.json, or its address: s3://bucket/photos."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is in a cache.

    Its settings, encoder, rows, labels, shards and unreadable images. Whether its bytes are right, verify says.

    Example: expclip-cache inspect features/photos --json
    """
    with handle_errors():
        import json

        from rich.console import Console

        from expclip_cache.cache import inspect_cache
        from expclip_cache.commands.cache_tables import description_to_terminal

        found = inspect_cache(cache)
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            Console().print(description_to_terminal(found))
