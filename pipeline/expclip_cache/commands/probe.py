"""`expclip-cache probe`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf, settings_of

FEW_SHOT = "Few-shot"


def probe(
    context: typer.Context,
    *,
    folds: Annotated[
        int,
        typer.Option(
            help="Of the cross-validation within a test set that has none of its own.",
            default_factory=DefaultOf("probes.ProbeSettings", "folds"),
        ),
    ],
    seed: Annotated[
        int,
        typer.Option(
            help="Of folds, held-out parts and draws.", default_factory=DefaultOf("probes.ProbeSettings", "seed")
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For square.csv and few_shot.csv; the page shows those in probes.")
    ] = Path("probes"),
    few_shot_on: Annotated[
        str | None,
        typer.Option(
            metavar="TEST-SET",
            help="The set that items are drawn from; by default the first.",
            rich_help_panel=FEW_SHOT,
        ),
    ] = None,
    shots: Annotated[
        list[str] | None,
        typer.Option(metavar="N[,N...]", help="Items of each class; by default 1,2,4,8,16.", rich_help_panel=FEW_SHOT),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            help="How often so many are drawn.",
            default_factory=DefaultOf("probes.ProbeSettings", "draws"),
            rich_help_panel=FEW_SHOT,
        ),
    ],
    few_shot_l2: Annotated[
        float,
        typer.Option(
            help="The l2 strength, 1 / C of scikit-learn.",
            default_factory=DefaultOf("probes.ProbeSettings", "few_shot_l2"),
            rich_help_panel=FEW_SHOT,
        ),
    ],
) -> None:
    """Train supervised probes on a study's features.

    Logistic regression on cached image features: within each test set, from each to every other, and on a few items a
    class; beside it plain CLIP and the heads on the same items. The l2 strength is chosen on a part of the training
    items.

    Example: expclip-cache probe --few-shot-on demo-grey
    """
    with handle_errors():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.probes import ProbeSettings, probe_study, write_probes
        from expclip_cache.reporting import WIDTH, probes_to_terminal
        from expclip_cache.settings import PROBES, load_settings, study_probe_inputs

        given = {"shots": tuple(entries(shots))} if shots else {}
        how = settings_of(context, ProbeSettings, **{"shots": ProbeSettings().shots, **given})
        settings, report = load_settings(), TerminalReporter()
        found = probe_study(study_probe_inputs(settings), how, settings.statistics, report)
        write_probes(found, out)
        Console(width=WIDTH).print(probes_to_terminal(found))
        more = "; `expclip-cache report` shows them on its page" if out == PROBES else ""
        report.say(f"{out}/square.csv and {out}/few_shot.csv have every number, also WAR and its intervals{more}")
