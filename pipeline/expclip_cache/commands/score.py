"""`expclip-cache score`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.heads import NO_CLIP
from expclip_cache.commands.setting_options import DefaultOf, settings_of


def score(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Caches of labelled test sets: folders such as features/images/clip-b32/raf-db, or addresses."
        ),
    ],
    *,
    prompts: Annotated[str, typer.Option(help="Cache of the prompts, such as features/prompts/clip-b32.")],
    head: Annotated[list[Path] | None, typer.Option(help="A head (.safetensors). Repeat for more.")] = None,
    prompt_set: Annotated[
        str,
        typer.Option(
            "--set",
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
    """Score cached features with plain CLIP and any heads: UAR and WAR in percent.

    Example: expclip-cache score features/images/clip-b32/raf-db --prompts features/prompts/clip-b32 --head
    b32.safetensors
    """
    with handle_errors():
        import json

        from rich.console import Console

        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.heads import names_clip
        from expclip_cache.prompts import TYPES, PromptSettings
        from expclip_cache.reporting import zero_shot_to_json, zero_shot_to_terminal
        from expclip_cache.scoring import score as score_cache
        from expclip_cache.scoring import short_names

        how = settings_of(context, PromptSettings, set=prompt_set, types=entries(types) if types else TYPES)
        heads = dict(zip(short_names(head or []), head or [], strict=True))
        scored = {cache: score_cache(cache, prompts, heads, how, every_type=not types) for cache in images}
        report = TerminalReporter()
        for path in head or []:
            if not names_clip(path):
                report.say(f"{path}: {NO_CLIP}")
        if as_json:
            typer.echo(json.dumps(zero_shot_to_json(scored), indent=2))
        else:
            table = zero_shot_to_terminal(scored)
            # As wide as the table, so that no number is cut off.
            Console(width=Console(width=1000).measure(table).maximum).print(table)
