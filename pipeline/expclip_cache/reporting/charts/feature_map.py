"""A map of features: items as small marks, class prompts as large ones with their names."""

from collections.abc import Sequence
from html import escape

import numpy as np

from expclip_cache.reporting.charts.class_marks import class_mark
from expclip_cache.reporting.charts.label_places import Box, label_places
from expclip_cache.reporting.charts.svg import WIDTH, coordinate, text

SIDE = WIDTH
"""Of the square in pixels."""

PROMPT, LARGEST, SMALLEST = 8.0, 5.0, 2.6
"""Radius of the marks in pixels: of prompts, and of items, which are the larger the fewer they are."""

LONGEST = 18
"""Letters of a class name on the map; the rest is in its title."""


def map_elements(
    classes: Sequence[str],
    items: np.ndarray,
    truth: np.ndarray,
    titles: Sequence[str],
    prompts: np.ndarray,
) -> list[str]:
    """The elements of one panel, a square of `SIDE`.

    Args:
        classes: c names.
        items: (m, 2) places in any unit.
        truth: (m,) classes of the items.
        titles: m texts, shown while the pointer is on an item.
        prompts: (c, 2) places of the class prompts.
    """
    places = _fitted(np.concatenate([items, prompts]))
    body = [f'<rect class="frame" x="0.5" y="0.5" width="{coordinate(SIDE - 1)}" height="{coordinate(SIDE - 1)}"/>']
    radius = max(SMALLEST, LARGEST - len(items) / 200)
    # In the order of a cache, items of the last class would cover all others.
    for item in map(int, np.random.default_rng(0).permutation(len(items))):
        x, y = places[item]
        body.append(class_mark(int(truth[item]), x, y, radius, "item", escape(titles[item])))
    marks = [(float(x), float(y)) for x, y in places[len(items) :]]
    names = [_short(name) for name in classes]
    for number, (x, y) in enumerate(marks):
        body.append(class_mark(number, x, y, PROMPT, "prompt", escape(f"prompts of {classes[number]}")))
    frame = Box(4, 4, SIDE - 4, SIDE - 4)
    for name, (x, y, anchor) in zip(
        names, label_places(marks, names, PROMPT, frame, places[: len(items)]), strict=True
    ):
        body.append(text(x, y, name, anchor, "halo"))
    return body


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _fitted(places: np.ndarray) -> np.ndarray:
    """(m, 2) scaled alike in both directions to fill the square, with room for the marks."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = (SIDE - 2 * (PROMPT + 4)) / (high - low).max()
    return SIDE / 2 + (places - (low + high) / 2) * scale
