"""`expclip-cache train`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of, was_given

CONTRASTIVE = "With --kind contrastive"
RIDGE = "With --kind ridge"

CONTRASTIVE_ONLY = ("lr", "momentum", "weight_decay", "epochs", "seeds", "device")
RIDGE_ONLY = ("fixed", "lambdas", "held_out", "tolerance", "teacher_weight", "moments", "shards")
CHOICE_ONLY = ("lambdas", "held_out", "tolerance", "batch_size")
"""Options of ridge that have no effect if lambda is given."""

_of_contrastive = partial(DefaultOf, "heads.ContrastiveSettings")
_of_ridge = partial(DefaultOf, "heads.RidgeSettings")


def train(
    context: typer.Context,
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE-FEATURES", help="Cache of the training images' features: a folder or an address."
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="HEAD", help="The head, a .safetensors file; with several seeds a folder for them."),
    ],
    *,
    targets: Annotated[
        list[str],
        typer.Option(help="Cache of the same images' LLM targets. Repeat for further teachers, with --kind ridge."),
    ],
    state: Annotated[
        str | None,
        typer.Option(help="Which state of a teacher that keeps several: its reading and layer, such as last@0.75."),
    ] = None,
    kind: Annotated[
        Literal["contrastive", "ridge"],
        typer.Option(help="contrastive: by SGD, one head per seed; ridge: in closed form, without epochs and seeds."),
    ] = "contrastive",
    lr: Annotated[
        float,
        typer.Option(
            rich_help_panel=CONTRASTIVE, help="Learning rate, constant.", default_factory=_of_contrastive("lr")
        ),
    ],
    momentum: Annotated[
        float, typer.Option(rich_help_panel=CONTRASTIVE, help="Of SGD.", default_factory=_of_contrastive("momentum"))
    ],
    weight_decay: Annotated[
        float,
        typer.Option(rich_help_panel=CONTRASTIVE, help="Of SGD.", default_factory=_of_contrastive("weight_decay")),
    ],
    epochs: Annotated[
        int,
        typer.Option(
            rich_help_panel=CONTRASTIVE, help="Passes over the images.", default_factory=_of_contrastive("epochs")
        ),
    ],
    seeds: Annotated[
        list[str],
        typer.Option(
            "--seeds",
            "--seed",
            metavar="N[,N...]",
            rich_help_panel=CONTRASTIVE,
            help="One head for each, all trained at once.",
            default_factory=_of_contrastive("seeds"),
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            rich_help_panel=CONTRASTIVE,
            help="auto, cpu, cuda or cuda:1.",
            default_factory=DefaultOf("workers.RunSettings", "device"),
        ),
    ],
    batch_size: Annotated[
        int,
        typer.Option(
            help="With contrastive: images per step; with ridge: per batch of the held-out loss.",
            default_factory=_of_contrastive("batch_size"),
        ),
    ],
    fixed: Annotated[
        float,
        typer.Option(
            "--lambda",
            "--fixed",
            rich_help_panel=RIDGE,
            help="Relative to the mean eigenvalue of X'X; chosen on held-out images by default.",
            show_default=False,
            default_factory=_of_ridge("fixed"),
        ),
    ],
    lambdas: Annotated[
        list[str],
        typer.Option(
            metavar="X[,X...]",
            rich_help_panel=RIDGE,
            help="What lambda is chosen from; by default 20 values from 1e-4 to 5.6.",
            show_default=False,
            default_factory=_of_ridge("lambdas"),
        ),
    ],
    held_out: Annotated[
        float,
        typer.Option(
            rich_help_panel=RIDGE,
            help="Share of the images that lambda is chosen on.",
            default_factory=_of_ridge("held_out"),
        ),
    ],
    tolerance: Annotated[
        float,
        typer.Option(
            rich_help_panel=RIDGE,
            help="Share of the best held-out gain that may be given up for a larger lambda.",
            default_factory=_of_ridge("tolerance"),
        ),
    ],
    teacher_weight: Annotated[
        list[float] | None,
        typer.Option(
            rich_help_panel=RIDGE,
            metavar="WEIGHT",
            help="Of a teacher; repeat it in the order of --targets; equal by default.",
        ),
    ] = None,
    moments: Annotated[
        Path, typer.Option(rich_help_panel=RIDGE, help="Folder that keeps the sums over the caches.")
    ] = Path("moments"),
    shards: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=RIDGE,
            help="Only sum this part and keep it, such as 0:16; other machines sum the others. A part starts at "
            "a multiple of 8 shards and ends at one or at the last shard.",
        ),
    ] = None,
) -> None:
    """Train projection heads on cached features. The defaults are the reference's.

    Example: expclip-cache train features/images/clip-b32/caer-s b32.safetensors --targets
    features/targets/blip2-flan-t5-xxl/caer-s
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.commands.fits import fit_ridge_head, open_target_features, train_contrastive_heads
        from expclip_cache.heads import ContrastiveSettings, RidgeSettings

        report, teachers = TerminalReporter(), [open_target_features(place, state) for place in targets]
        if kind == "contrastive":
            refuse_options(context, RIDGE_ONLY, "belongs to --kind ridge; remove it, or add --kind ridge.")
            settings = settings_of(context, ContrastiveSettings, seeds=entries(seeds))
            heads = train_contrastive_heads(images, teachers, settings, out, device, report)
        else:
            refuse_options(context, CONTRASTIVE_ONLY, "belongs to --kind contrastive; remove it.")
            if was_given(context, "fixed"):
                refuse_options(context, CHOICE_ONLY, "is for choosing lambda, but --lambda gives it; remove one.")
            choose = "fixed" if was_given(context, "fixed") else "held_out"
            settings = settings_of(context, RidgeSettings, choose=choose, lambdas=entries(lambdas))
            heads = fit_ridge_head(images, teachers, settings, out, teacher_weight or [], moments, shards, report)
        if heads:
            given = " ".join(f"--head {head}" for head in heads)
            report.say(f"next: expclip-cache score IMAGE-FEATURES --prompt-features CACHE {given}")
