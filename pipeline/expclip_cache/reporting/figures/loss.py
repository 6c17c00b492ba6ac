"""Training loss over epochs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.reporting.figures.style import CLIP, COLUMN, EXPCLIP, GRID, new_figure, open_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 2.2
"""Inches."""


def loss_figure(losses: Mapping[str, Sequence[float]]) -> "Figure":
    """A thin line for each seed, their mean, and the range from the lowest to the highest.

    Args:
        losses: name of a seed -> loss of each epoch; the same number of epochs for all.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = new_figure(COLUMN, HEIGHT)
    values = np.array(list(losses.values()))
    epochs = np.arange(1, values.shape[1] + 1)
    marker = "o" if len(epochs) == 1 else None
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=GRID, linewidth=0, label="range")
        for number, line in enumerate(values):
            label = None if number else f"{len(values)} seeds"
            axes.plot(epochs, line, color=CLIP, linewidth=0.5, marker=marker, markersize=2, label=label)
    label = "mean" if len(values) > 1 else None
    axes.plot(epochs, values.mean(axis=0), color=EXPCLIP, marker=marker, markersize=4, label=label)
    axes.set(xlabel="epoch", ylabel="training loss", xlim=(0.5, len(epochs) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    open_frame(axes)
    if label:
        axes.legend(loc="upper right")
    return figure
