"""`expclip-cache import-head`, `export-head` and `score`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.console import orderly


def import_head(
    checkpoint: Annotated[Path, typer.Argument(help="Torch file with mlp.weight, as the reference publishes it.")],
    out: Annotated[Path, typer.Argument(help="The head as safetensors.")],
) -> None:
    """Turn a checkpoint of the reference into a head; nothing in it is executed.

    Example: expclip-cache import-head ViT-B-32.pth official/b32.safetensors
    """
    with orderly():
        import hashlib

        from pipeline.heads.checkpoint import read_checkpoint
        from pipeline.heads.head_file import write_head
        from pipeline.progress import TerminalReporter

        weights = read_checkpoint(checkpoint)
        digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        write_head(out, weights, {"imported_from": checkpoint.name, "checkpoint_sha256": digest})
        width, target = weights.shape[1], weights.shape[0]
        TerminalReporter().say(f"{out}: takes CLIP features of width {width} to {target}")


def export_head(
    head: Annotated[Path, typer.Argument(help="A head, for example heads/seed-1.safetensors.")],
    out: Annotated[Path, typer.Argument(help="The torch file, for example head.pth.")],
) -> None:
    """Turn a head into a checkpoint that the reference's own code loads.

    Example: expclip-cache export-head heads/seed-1.safetensors head.pth
    """
    with orderly():
        from pipeline.heads.checkpoint import write_checkpoint
        from pipeline.heads.head_file import KEY, read_head
        from pipeline.progress import TerminalReporter

        weights = read_head(head)
        write_checkpoint(out, weights)
        TerminalReporter().say(f"{out}: {KEY} {tuple(weights.shape)} float32")


def score(
    images: Annotated[Path, typer.Argument(help="Cache of a labelled test set, such as features/clip-b32/raf-db.")],
    prompts: Annotated[Path, typer.Option(help="Cache of the prompts, such as features/clip-b32/prompts.")],
    head: Annotated[list[Path] | None, typer.Option(help="A head (safetensors); may be given more than once.")] = None,
    prompt_set: Annotated[
        str, typer.Option("--set", help="reference, clean, or a prompt file my-prompts.yaml.")
    ] = "reference",
    types: Annotated[
        list[int] | None,
        typer.Option(help="Prompt type 1 to 5; may be given more than once. All there are by default."),
    ] = None,
    aggregation: Annotated[
        Literal["mean", "renorm_mean", "nearest"], typer.Option(help="Over a class's prompts.")
    ] = "mean",
    as_json: Annotated[bool, typer.Option("--json", help="Numbers for programs, on standard output.")] = False,
) -> None:
    """Score cached features with plain CLIP and any heads: UAR and WAR in percent.

    Example: expclip-cache score features/clip-b32/raf-db --prompts features/clip-b32/prompts --head b32.safetensors
    """
    with orderly():
        import json

        from rich.console import Console

        from pipeline.params import PromptParams, build
        from pipeline.reporting.head_scores_table import scores_json, scores_table
        from pipeline.scoring.head_scores import score_cache

        chosen = {"types": tuple(types)} if types else {}
        how = build(PromptParams, set=prompt_set, aggregation=aggregation, **chosen)
        rows = score_cache(images, prompts, head or [], how, every_type=not types)
        if as_json:
            typer.echo(json.dumps(scores_json(images, rows), indent=2))
        else:
            Console(soft_wrap=True).print(scores_table(images, rows))
