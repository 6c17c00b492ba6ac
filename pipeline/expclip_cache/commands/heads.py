"""`expclip-cache fit-head`, `import-head`, `export-head` and `score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from expclip_cache.base import handle_errors

if TYPE_CHECKING:
    from expclip_cache.cache import FeatureCache


def fit_head(
    images: Annotated[str, typer.Argument(help="Cache of the training images' features: a folder or an address.")],
    out: Annotated[Path, typer.Argument(help="The head, a .safetensors file.")],
    targets: Annotated[
        list[str], typer.Option(help="Cache of the same images' LLM targets. Repeat for further teachers.")
    ],
    weight: Annotated[
        list[float] | None, typer.Option(help="Of each teacher, in the order of --targets; equal by default.")
    ] = None,
    fixed: Annotated[
        float | None,
        typer.Option("--lambda", help="Relative to the mean eigenvalue of X'X; chosen on held-out images by default."),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the images on which lambda is chosen.")] = 0.1,
    tolerance: Annotated[
        float, typer.Option(help="Share of the best held-out gain that may be given up for a larger lambda.")
    ] = 0.03,
    batch_size: Annotated[int, typer.Option(min=2, help="Of the held-out contrastive loss.")] = 512,
    moments: Annotated[Path, typer.Option(help="Folder that keeps the sums over the caches.")] = Path("moments"),
    shards: Annotated[
        str | None,
        typer.Option(
            help="Only sum this part and keep it, such as 0:16; other machines sum the others. A part starts at a "
            "multiple of 8 shards and ends at one or at the last shard."
        ),
    ] = None,
) -> None:
    """Fit a head in closed form on cached features: one pass, no epochs, no seeds.

    Example: expclip-cache fit-head features/demo-clip/demo-train ridge.safetensors --targets
    features/demo-llm/demo-train
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter, build
        from expclip_cache.cache import FeatureCache, parse_part
        from expclip_cache.heads import RidgeSettings, fit_stacked_ridge, sum_part_for_teachers

        chosen = {"choose": "held_out"} if fixed is None else {"choose": "fixed", "fixed": fixed}
        settings = build(RidgeSettings, **chosen, held_out=held_out, tolerance=tolerance)
        features, teachers = open_image_features(images), [FeatureCache(place) for place in targets]
        report = TerminalReporter()
        if shards is not None:
            part = parse_part(shards)
            paths = sum_part_for_teachers(features, teachers, settings, part, moments, report)
            report.say(
                f"{moments}: keeps the sums of shards {part.start} to {part.stop - 1} in {len(paths)} files; "
                "the command without --shards uses them"
            )
            return
        head = fit_stacked_ridge(
            features,
            teachers,
            settings,
            weights=weight or [],
            batch_size=batch_size,
            moments=moments,
            report=report,
        )
        head.write(out)
        fitted_to = f"{len(teachers)} teachers" if len(teachers) > 1 else "one teacher"
        report.say(f"{out}: takes CLIP features of width {head.weights.shape[1]}, fitted to {fitted_to}")


def open_image_features(place: str) -> "FeatureCache":
    """The cache of a CLIP's image features.

    Raises:
        CacheError: the cache cannot be opened, or holds something else.
    """
    from expclip_cache.base import CacheError
    from expclip_cache.cache import FeatureCache

    cache = FeatureCache(place)
    try:
        cache.logit_scale  # noqa: B018 - raises if there is none
    except CacheError as error:
        raise CacheError(f"{error} Give the image features first and the targets after --targets.") from None
    return cache


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
    head: Annotated[Path, typer.Argument(help="A head, for example heads/seed-1.safetensors.")],
    out: Annotated[Path, typer.Argument(help="The torch file, for example head.pth.")],
) -> None:
    """Convert a head to a checkpoint that the reference's code loads.

    Example: expclip-cache export-head heads/seed-1.safetensors head.pth
    """
    with handle_errors():
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
    head: Annotated[list[Path] | None, typer.Option(help="A head (.safetensors). Repeat for more.")] = None,
    prompt_set: Annotated[
        str, typer.Option("--set", help="reference, clean, or a prompt file my-prompts.yaml.")
    ] = "reference",
    types: Annotated[
        list[int] | None,
        typer.Option(help="Prompt type 1 to 5. Repeat for more; all by default."),
    ] = None,
    aggregation: Annotated[
        Literal["mean", "renorm_mean", "nearest"], typer.Option(help="Over a class's prompts.")
    ] = "mean",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score cached features with plain CLIP and any heads: UAR and WAR in percent.

    Example: expclip-cache score features/clip-b32/raf-db --prompts features/clip-b32/prompts --head b32.safetensors
    """
    with handle_errors():
        import json

        from rich.console import Console

        from expclip_cache.base import build
        from expclip_cache.prompts import PromptSettings
        from expclip_cache.reporting import zero_shot_to_json, zero_shot_to_terminal
        from expclip_cache.scoring import score as score_cache
        from expclip_cache.scoring import short_names

        chosen = {"types": tuple(types)} if types else {}
        how = build(PromptSettings, set=prompt_set, aggregation=aggregation, **chosen)
        heads = dict(zip(short_names(head or []), head or [], strict=True))
        scored = {cache: score_cache(cache, prompts, heads, how, every_type=not types) for cache in images}
        if as_json:
            typer.echo(json.dumps(zero_shot_to_json(scored), indent=2))
        else:
            table = zero_shot_to_terminal(scored)
            # As wide as the table, so that no number is cut off.
            Console(width=Console(width=1000).measure(table).maximum).print(table)
