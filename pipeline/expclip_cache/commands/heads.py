"""`expclip-cache import-head` and `export-head`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of

NO_CLIP = "names no CLIP, so only its width can be compared."
"""Said of such a head."""

_of_clip = partial(DefaultOf, "encoders.ClipSettings")


def import_head(
    context: typer.Context,
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Torch file with mlp.weight, as the reference publishes it.")
    ],
    out: Annotated[Path, typer.Argument(metavar="HEAD", help="The head, a .safetensors file.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="The CLIP that the head was fitted to: an open_clip model or a local model folder. The head's file "
            "records it, and the head is refused for features of any other."
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="An open_clip tag such as openai, or a .safetensors file.", default_factory=_of_clip("weights")
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(help="Commit, branch or tag of the weights' repository on the Hugging Face hub.")
    ] = None,
    preprocess: Annotated[
        Literal["reference", "clip"],
        typer.Option(
            help="How that CLIP saw its images. reference: stretched to a square, no mean/std normalisation.",
            default_factory=_of_clip("preprocess"),
        ),
    ],
) -> None:
    """Convert a checkpoint of the reference to a head. Nothing in it is executed.

    Example: expclip-cache import-head ViT-B-32.pth official/b32.safetensors --model ViT-B-32-quickgelu --weights openai
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter
        from expclip_cache.encoders import ClipSettings
        from expclip_cache.heads import import_checkpoint

        if model is None:
            refuse_options(
                context, ("weights", "revision", "preprocess"), "describes a CLIP: name its --model as well."
            )
        clip = None if model is None else settings_of(context, ClipSettings)
        height, width = import_checkpoint(checkpoint, out, clip)
        report = TerminalReporter()
        report.say(f"{out}: takes CLIP features of width {width} to {height}")
        if model is None:
            report.say(f"{out}: {NO_CLIP} With --model, it would be refused for features of another one.")


def export_head(
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="A head, a .safetensors file.")],
    out: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The torch file, for example head.pth.")],
) -> None:
    """Convert a head to a checkpoint for the reference's code.

    Example: expclip-cache export-head heads/clip-b32/blip2-flan-t5-xxl/reference/seed-1.safetensors head.pth
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter
        from expclip_cache.heads import KEY, read_head, write_checkpoint

        weights = read_head(head)
        write_checkpoint(out, weights)
        TerminalReporter().say(f"{out}: {KEY} {tuple(weights.shape)} float32")
