"""`expclip-cache sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors


def sweep(
    images: Annotated[str, typer.Argument(help="Cache of the training images' features: a folder or an address.")],
    out: Annotated[Path, typer.Argument(help="Folder for the heads and sweep.csv.")],
    targets: Annotated[
        list[str], typer.Option(help="Cache of the same images' LLM targets. Repeat for other instructions.")
    ],
    lr: Annotated[list[float] | None, typer.Option(help="Learning rate, 0.001 by default. Repeat for more.")] = None,
    weight_decay: Annotated[list[float] | None, typer.Option(help="0.0001 by default. Repeat for more.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="1 by default. Repeat for more.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the images.")] = 5,
    batch_size: Annotated[int, typer.Option(min=2, help="Images per step.")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Train a contrastive head for every learning rate, weight decay, instruction and seed, all at once.

    The training loss is not a score: compare the heads with `expclip-cache score` on a validation set.

    Example: expclip-cache sweep features/demo-clip/demo-train sweep --targets features/demo-llm/demo-train --lr 0.01
    --lr 0.03 --seed 1 --seed 2
    """
    with handle_errors():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter, build
        from expclip_cache.cache import FeatureCache
        from expclip_cache.commands.heads import open_image_features
        from expclip_cache.heads import ContrastiveSettings
        from expclip_cache.heads import sweep as train
        from expclip_cache.reporting import sweep_to_terminal

        seeds = {"seeds": tuple(seed)} if seed else {}
        settings = build(ContrastiveSettings, epochs=epochs, batch_size=batch_size, **seeds)
        report = TerminalReporter()
        heads = train(
            open_image_features(images),
            [FeatureCache(place) for place in targets],
            settings,
            out,
            lrs=lr or [settings.lr],
            weight_decays=weight_decay or [settings.weight_decay],
            device=device,
            report=report,
        )
        Console().print(sweep_to_terminal(heads))
        report.say(f"{out}: {len(heads)} heads, and sweep.csv with the loss of every epoch")
