"""`expclip-cache fit-head`, `import-head`, `export-head` and `score`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import orderly


def fit_head(
    images: Annotated[str, typer.Argument(help="Cache of the training faces' image features: a folder or an address.")],
    out: Annotated[Path, typer.Argument(help="The head as safetensors.")],
    targets: Annotated[
        list[str], typer.Option(help="Cache of the same faces' LLM targets; a further one is a further teacher.")
    ],
    weight: Annotated[
        list[float] | None, typer.Option(help="Of each teacher, in the order of --targets; equal by default.")
    ] = None,
    fixed: Annotated[
        float | None,
        typer.Option("--lambda", help="Relative to the mean eigenvalue of X'X; chosen on held-out faces by default."),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the faces that only choose lambda.")] = 0.1,
    tolerance: Annotated[
        float, typer.Option(help="Share of the best held-out gain that may be given up for a larger lambda.")
    ] = 0.03,
    batch_size: Annotated[int, typer.Option(min=2, help="Of the held-out contrastive loss.")] = 512,
    moments: Annotated[Path, typer.Option(help="Folder where sums over the caches are kept.")] = Path("moments"),
    shards: Annotated[
        str | None,
        typer.Option(help="Only sum this part, such as 0:8, and keep it: other processes or machines sum the others."),
    ] = None,
) -> None:
    """Fit a head in closed form on cached features: one pass, no epochs, no seeds.

    Example: expclip-cache fit-head features/demo-clip/demo-train ridge.safetensors --targets
    features/demo-llm/demo-train
    """
    with orderly():
        from expclip_cache.base import TerminalReporter, build
        from expclip_cache.cache import parse_part
        from expclip_cache.heads import RidgeSettings, fit_teachers, sum_part

        how = {"choose": "held_out"} if fixed is None else {"choose": "fixed", "fixed": fixed}
        ridge = build(RidgeSettings, **how, held_out=held_out, tolerance=tolerance)
        report = TerminalReporter()
        if shards is not None:
            for path in sum_part(images, targets, ridge, parse_part(shards), moments, report):
                report.say(f"{path}: written; the command without --shards takes it up")
            return
        heads = fit_teachers(images, targets, weight or [], ridge, batch_size, out, moments, report)
        teachers = f"{len(heads)} teachers" if len(heads) > 1 else "one teacher"
        report.say(f"{out}: takes CLIP features of width {heads[0].weights.shape[1]}, fitted to {teachers}")


def import_head(
    checkpoint: Annotated[Path, typer.Argument(help="Torch file with mlp.weight, as the reference publishes it.")],
    out: Annotated[Path, typer.Argument(help="The head as safetensors.")],
) -> None:
    """Turn a checkpoint of the reference into a head; nothing in it is executed.

    Example: expclip-cache import-head ViT-B-32.pth official/b32.safetensors
    """
    with orderly():
        import hashlib

        from expclip_cache.base import TerminalReporter
        from expclip_cache.heads import read_checkpoint, write_head

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
        from expclip_cache.base import TerminalReporter
        from expclip_cache.heads import KEY, read_head, write_checkpoint

        weights = read_head(head)
        write_checkpoint(out, weights)
        TerminalReporter().say(f"{out}: {KEY} {tuple(weights.shape)} float32")


def score(
    images: Annotated[
        list[str],
        typer.Argument(help="Caches of labelled test sets: folders such as features/clip-b32/raf-db, or addresses."),
    ],
    prompts: Annotated[str, typer.Option(help="Cache of the prompts, such as features/clip-b32/prompts.")],
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

        from expclip_cache.base import build
        from expclip_cache.prompts import PromptSettings
        from expclip_cache.reporting import scores_json, scores_table
        from expclip_cache.scoring import score_cache

        chosen = {"types": tuple(types)} if types else {}
        how = build(PromptSettings, set=prompt_set, aggregation=aggregation, **chosen)
        scored = {str(cache): score_cache(cache, prompts, head or [], how, every_type=not types) for cache in images}
        if as_json:
            typer.echo(json.dumps(scores_json(scored), indent=2))
        else:
            table = scores_table(scored)
            # As wide as it needs to be: cut numbers are of no use.
            Console(width=Console(width=1000).measure(table).maximum).print(table)
