"""`expclip-cache save-crops`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors, printable


def save_crops(
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST", help="Manifest with the boxes, such as features/images/clip-b32/caer-s/manifest.arrow."
        ),
    ],
    images: Annotated[str, typer.Argument(metavar="IMAGES", help="Folder or address of the images.")],
    out: Annotated[Path, typer.Argument(metavar="CROPS", help="Folder for the crops.")],
) -> None:
    """Save the faces that an encoder saw, to look at them.

    Example: expclip-cache save-crops features/images/clip-b32/caer-s/manifest.arrow /data/CAER-S crops/
    """
    with handle_errors():
        from expclip_cache.base import DataError, TerminalReporter
        from expclip_cache.commands.manifest_argument import manifest_file
        from expclip_cache.datasets import read_manifest, root_at
        from expclip_cache.faces import save_crops as save

        found = read_manifest(manifest_file(manifest))
        try:
            without = save(found, root_at(images), out, TerminalReporter())
        except OSError as error:
            raise DataError(f"{out}: the crops cannot be written ({error.strerror}).") from None
        saved = len(found.rows) - without
        typer.echo(printable(f"{out}: crops of {saved} of {len(found.rows)} rows"))
