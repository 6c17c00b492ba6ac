"""`expclip-cache sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import orderly


def sweep(
    images: Annotated[str, typer.Argument(help="Cache of the training faces' image features.")],
    out: Annotated[Path, typer.Argument(help="Folder for the heads and sweep.csv.")],
    targets: Annotated[
        list[str], typer.Option(help="Cache of the same faces' LLM targets; a further one is a further instruction.")
    ],
    lr: Annotated[list[float] | None, typer.Option(help="Learning rate; may be given more than once.")] = None,
    weight_decay: Annotated[list[float] | None, typer.Option(help="May be given more than once.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="May be given more than once.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    batch_size: Annotated[int, typer.Option(min=2)] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Train a contrastive head for every learning rate, weight decay, instruction and seed, all at once.

    The loss is no score: compare the heads with `expclip-cache score` on a set that is not the test set.

    Example: expclip-cache sweep features/demo-clip/demo-train sweep --targets features/demo-llm/demo-train --lr 0.01
    --lr 0.03 --seed 1 --seed 2
    """
    with orderly():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter, build
        from expclip_cache.heads import TrainSettings
        from expclip_cache.heads import sweep as train
        from expclip_cache.reporting import sweep_table
        from expclip_cache.workers import resolve_device

        rates, decays, seeds = lr or [1e-3], weight_decay or [1e-4], seed or [1]
        each = [
            build(TrainSettings, dataset="cache", lr=rate, weight_decay=decay, seeds=seeds, epochs=epochs,
                  batch_size=batch_size)
            for rate in rates
            for decay in decays
        ]  # fmt: skip
        report = TerminalReporter()
        swept = train(images, targets, rates, decays, each[0], out, resolve_device(device), report)
        Console().print(sweep_table(swept))
        report.say(f"{out}: {len(swept)} heads, and sweep.csv with the loss of every epoch")
