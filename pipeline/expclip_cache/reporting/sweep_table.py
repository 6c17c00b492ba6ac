"""The heads of a sweep in a terminal: one line per teacher, learning rate and weight decay, over all seeds."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from rich import box
from rich.table import Table

from expclip_cache.heads import SweepHead


def sweep_to_terminal(heads: Sequence[SweepHead]) -> Table:
    """Loss of the last epoch: mean and standard deviation over the seeds.

    Args:
        heads: in the order of `sweep`, where the seeds of one setting follow one another.
    """
    table = Table(title="Contrastive loss of the last epoch, in nats", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("targets", no_wrap=True)
    for name in ("lr", "weight decay", "loss"):
        table.add_column(name, justify="right", no_wrap=True)
    for (teacher, lr, weight_decay), seeds in groupby(
        heads, key=lambda head: (head.teacher, head.recipe.lr, head.recipe.weight_decay)
    ):
        losses = np.array([head.losses[-1] for head in seeds])
        spread = f" ±{losses.std(ddof=1):.4f}" if len(losses) > 1 else ""
        table.add_row(teacher, f"{lr:g}", f"{weight_decay:g}", f"{losses.mean():.4f}{spread}")
    return table
