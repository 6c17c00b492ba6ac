"""`expclip-cache score`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.heads import NO_CLIP
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of


def score(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE-FEATURES",
            help="Caches of labelled test sets: folders such as features/images/clip-b32/raf-db, or addresses.",
        ),
    ],
    *,
    prompt_features: Annotated[
        str,
        typer.Option(
            metavar="CACHE", help="Cache of the prompts, such as features/prompts/clip-b32; encode-prompts makes one."
        ),
    ],
    head: Annotated[list[Path] | None, typer.Option(help="A head (.safetensors). Repeat for more.")] = None,
    set: Annotated[
        str,
        typer.Option(
            help="reference, clean, or a prompt file my-prompts.yaml.",
            default_factory=DefaultOf("prompts.PromptSettings", "set"),
        ),
    ],
    types: Annotated[
        list[str] | None,
        typer.Option(metavar="N[,N...]", help="Prompt types 1 to 5; by default all whose prompts are in the cache."),
    ] = None,
    aggregation: Annotated[
        Literal["mean", "renorm_mean", "nearest"],
        typer.Option(
            help="Over a class's prompts.", default_factory=DefaultOf("prompts.PromptSettings", "aggregation")
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score cached features with plain CLIP and any heads.

    The scores are UAR and WAR in percent, with 95 % intervals over the test items.

    Example: expclip-cache score features/photos --head official/b32.safetensors --prompt-features features/prompts
    """
    with handle_errors():
        import json

        from rich.console import Console

        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.heads import names_clip
        from expclip_cache.prompts import TYPES, PromptSettings
        from expclip_cache.reporting import WIDTH, zero_shot_to_json, zero_shot_to_terminal
        from expclip_cache.scoring import score as score_cache
        from expclip_cache.scoring import short_names

        if set.endswith((".yaml", ".yml")):
            refuse_options(context, ("types",), "belongs to the sets reference and clean; a prompt file has no types.")
        how = settings_of(context, PromptSettings, types=entries(types) if types else TYPES)
        heads = dict(zip(short_names(head or []), head or [], strict=True))
        scored = {cache: score_cache(cache, prompt_features, heads, how, every_type=not types) for cache in images}
        report = TerminalReporter()
        for path in head or []:
            if not names_clip(path):
                report.say(f"{path}: {NO_CLIP}")
        if as_json:
            typer.echo(json.dumps(zero_shot_to_json(scored), indent=2))
        else:
            Console(width=WIDTH).print(zero_shot_to_terminal(scored))
