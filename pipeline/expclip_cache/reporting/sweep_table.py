"""The heads of a sweep in a terminal: one line for each setting, its seeds taken together."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from expclip_cache.heads import Swept


def sweep_table(swept: Sequence[Swept]) -> Table:
    """Loss of the last epoch, mean and standard deviation over the seeds of each setting."""
    table = Table(title="Contrastive loss of the last epoch, in nats", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("targets", no_wrap=True)
    for name in ("lr", "weight decay", "loss"):
        table.add_column(name, justify="right", no_wrap=True)
    for (targets, lr, decay), heads in groupby(
        swept, key=lambda head: (head.targets, head.recipe.lr, head.recipe.weight_decay)
    ):
        losses = np.array([head.losses[-1] for head in heads])
        spread = f" ±{losses.std(ddof=1):.4f}" if len(losses) > 1 else ""
        table.add_row(Path(targets).name, f"{lr:g}", f"{decay:g}", f"{losses.mean():.4f}{spread}")
    return table
