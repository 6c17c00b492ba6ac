"""`expclip-cache ablate`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf, settings_of

VALUES = "Values of the axes"

LISTS = ("axes", "prompt_types", "aggregations", "prompts", "backbones", "teachers", "heads")


def ablate(
    context: typer.Context,
    *,
    axes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS[,AXIS...]",
            help="Vary these alone: prompt-type, aggregation, prompts, backbone, teacher, instruction, head, faces.",
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Every combination of the values, not one axis at a time.")
    ] = False,
    centre: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=VALUE",
            help="Another centre than the study's first backbone, teacher, head and prompt set: head=ridge. Repeat "
            "for more.",
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            help="Random draws of each number of faces.", default_factory=DefaultOf("ablation.AblationOptions", "draws")
        ),
    ],
    seeds: Annotated[
        int,
        typer.Option(
            help="Contrastive heads fitted on each draw.",
            default_factory=DefaultOf("ablation.AblationOptions", "seeds"),
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For the tables and the page, and the finished cells.")
    ] = Path("ablations"),
    prompt_types: Annotated[
        list[str] | None,
        typer.Option(metavar="N[,N...]", rich_help_panel=VALUES, help="1 to 5; by default all that are cached."),
    ] = None,
    aggregations: Annotated[
        list[str] | None,
        typer.Option(metavar="HOW[,HOW...]", rich_help_panel=VALUES, help="mean, renorm_mean, nearest."),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[,NAME...]", rich_help_panel=VALUES, help="Prompt sets of params.yaml."),
    ] = None,
    backbones: Annotated[
        list[str] | None, typer.Option(metavar="NAME[,NAME...]", rich_help_panel=VALUES, help="CLIPs of params.yaml.")
    ] = None,
    teachers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            rich_help_panel=VALUES,
            help="Teachers of params.yaml; those that differ in their instruction alone are an axis of their own.",
        ),
    ] = None,
    heads: Annotated[
        list[str] | None, typer.Option(metavar="NAME[,NAME...]", rich_help_panel=VALUES, help="Heads of params.yaml.")
    ] = None,
    faces: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N[,N...]",
            rich_help_panel=VALUES,
            help="Numbers of unlabelled training faces, or all; by default 100, 300, 1000 and so on, and all.",
        ),
    ] = None,
) -> None:
    """Compare prompts, teachers, heads and numbers of faces.

    The study in this folder is the centre, and one axis at a time is varied around it, from cached features alone:
    ablations/ablation.csv has every cell, ablations/index.html a chart for each axis, with intervals and changes
    against the centre. Finished cells are kept.

    Example: expclip-cache ablate --centre head=ridge --faces 100,1000,all
    """
    with handle_errors(resumes=True):
        from rich.console import Console

        from expclip_cache.ablation import AblationOptions, parse_centre, parse_faces
        from expclip_cache.ablation import ablate as run
        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.reporting import WIDTH
        from expclip_cache.settings import load_settings

        given = {name: tuple(entries(context.params[name] or [])) for name in LISTS}
        options = settings_of(
            context,
            AblationOptions,
            **given,
            faces=parse_faces(entries(faces or [])),
            centre=parse_centre(entries(centre or [])),
        )
        Console(width=WIDTH).print(run(load_settings(), options, out, TerminalReporter()))
