"""`expclip-cache import-head` and `export-head`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors


def import_head(
    checkpoint: Annotated[Path, typer.Argument(help="Torch file with mlp.weight, as the reference publishes it.")],
    out: Annotated[Path, typer.Argument(help="The head, a .safetensors file.")],
) -> None:
    """Convert a checkpoint of the reference to a head. Nothing in it is executed.

    Example: expclip-cache import-head ViT-B-32.pth official/b32.safetensors
    """
    with handle_errors():
        import hashlib

        from expclip_cache.base import TerminalReporter
        from expclip_cache.heads import read_checkpoint, write_head

        weights = read_checkpoint(checkpoint)
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        write_head(out, weights, {"imported_from": checkpoint.name, "checkpoint_sha256": digest})
        target_width, width = weights.shape
        TerminalReporter().say(f"{out}: takes CLIP features of width {width} to {target_width}")


def export_head(
    head: Annotated[Path, typer.Argument(help="A head, a .safetensors file.")],
    out: Annotated[Path, typer.Argument(help="The torch file, for example head.pth.")],
) -> None:
    """Convert a head to a checkpoint that the reference's code loads.

    Example: expclip-cache export-head heads/clip-b32/blip2-flan-t5-xxl/reference/seed-1.safetensors head.pth
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter
        from expclip_cache.heads import KEY, read_head, write_checkpoint

        weights = read_head(head)
        write_checkpoint(out, weights)
        TerminalReporter().say(f"{out}: {KEY} {tuple(weights.shape)} float32")
