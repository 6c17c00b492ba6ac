"""How an expression changes over a video, as a chart: lines of text for the terminal, or an SVG."""

import re
import sys
from collections.abc import Sequence
from html import escape
from itertools import compress

import numpy as np

from expclip_cache.base import SettingsError, printable_name
from expclip_cache.prediction.output import has_blocks
from expclip_cache.prediction.result import Moment

COLUMNS = 56
"""Width of the chart in the terminal, in characters."""

LEVELS = " ▁▂▃▄▅▆▇█"
"""From 0 to 100 percent."""

ASCII_LEVELS = " .:-=+*#@"
"""The same for terminals without such characters."""

WIDTH, ROW, LEFT, RIGHT, TOP = 720, 44, 130, 60, 40
"""Of the SVG, in pixels: its width, the height of a class, and the margins."""

STYLE = """
text { font: 14px system-ui, sans-serif; fill: #222 }
.faint { fill: #666 }
.base { stroke: #ccc }
.gap { fill: #8882 }
.area { fill: #0072b2 }
.area.best { fill: #d55e00 }
.area.unsure { fill-opacity: 0.35 }
@media (prefers-color-scheme: dark) { svg { background: #16181c } text { fill: #eee } .faint { fill: #aaa }
  .area.unsure { fill-opacity: 0.5 } }
"""


def seconds_of(text: str) -> float:
    """A duration such as 0.5s, 500ms or 2 -> seconds.

    Raises:
        SettingsError: it is none, or 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms)?\s*", text, re.ASCII)
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else 0.0
    if seconds == 0:
        raise SettingsError(f"--every: expected a time such as 0.5s, found {text!r}.")
    return seconds


def timeline_to_text(path: str, moments: Sequence[Moment], top: int | None = None) -> str:
    """A line for each class, over time; the last number is its mean. A line below marks where answers are unsure.

    Args:
        path: of the video.
        moments: at least one of them with a face.
        top: number of classes shown, those with the highest means.
    """
    names, percent = _by_mean(moments)
    # A moment has several columns, or several moments share one.
    columns = min(COLUMNS, len(moments) * max(1, COLUMNS // len(moments)))
    bounds = [
        (column * len(moments) // columns, -(-(column + 1) * len(moments) // columns)) for column in range(columns)
    ]
    shown = np.array([_mean(percent[start:end]) for start, end in bounds])
    unsure = _unsure(moments)
    marks = ["x" if unsure[start:end].any() else " " for start, end in bounds] if unsure.any() else []
    longest, means = max(map(len, [*names[:top], *["unsure"] * bool(marks)])), _mean(percent)
    lines = [f"{printable_name(path)}  ({_summary(moments)})"]
    for number, name in enumerate(names[:top]):
        lines.append(f"  {name:{longest}}  {_levels(shown[:, number])} {means[number]:4.0f} %")
    if marks:
        lines.append(f"  {'unsure':{longest}}  {''.join(marks)}".rstrip())
    start, end = (f"{moments[place].seconds:.1f} s" for place in (0, -1))
    lines.append(f"  {'':{longest}}  {start}{end:>{max(columns - len(start), len(end) + 1)}}")
    return "\n".join(lines)


def timeline_to_svg(path: str, moments: Sequence[Moment]) -> str:
    """A row for each class, over time, as an image of its own; shaded where no face was found, faint where unsure.

    Args:
        path: of the video.
        moments: at least one of them with a face.
    """
    names, percent = _by_mean(moments)
    seconds = np.array([moment.seconds for moment in moments])
    # The last moment lasts as long as the one before it.
    ends = np.append(seconds[1:], seconds[-1] + (seconds[-1] - seconds[-2] if len(seconds) > 1 else 1.0))
    scale = (WIDTH - LEFT - RIGHT) / (ends[-1] - seconds[0])
    height = TOP + ROW * len(names) + 34
    seen, unsure = ~np.isnan(percent[:, 0]), _unsure(moments)
    body = [
        f'<rect class="gap" x="{LEFT + scale * (start - seconds[0]):.1f}" y="{TOP}" '
        f'width="{scale * (end - start):.1f}" height="{ROW * len(names)}"/>'
        for start, end, face in zip(seconds, ends, seen, strict=True)
        if not face
    ]
    summary = _summary(moments, ", shaded", ", faint")
    body.append(f'<text x="{LEFT}" y="22">{escape(printable_name(path))}: {summary}</text>')
    body.append(f'<text x="{WIDTH - RIGHT + 10}" y="22" class="faint">mean</text>')
    for number, (name, mean) in enumerate(zip(names, _mean(percent), strict=True)):
        base = TOP + ROW * (number + 1)
        body.append(f'<text x="{LEFT - 10}" y="{base - 8}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<text x="{WIDTH - RIGHT + 10}" y="{base - 8}" class="faint">{mean:.0f} %</text>')
        body.append(f'<path class="base" d="M{LEFT} {base}H{WIDTH - RIGHT}"/>')
        bars = [
            f"M{LEFT + scale * (start - seconds[0]):.1f} {base}v{-value * (ROW - 8) / 100:.1f}"
            f"h{scale * (end - start):.1f}V{base}z"
            for start, end, value in zip(seconds, ends, percent[:, number], strict=True)
        ]
        for css, shown in (("", seen & ~unsure), (" unsure", unsure)):
            if shown.any():
                path_of_bars = "".join(compress(bars, shown))
                body.append(f'<path class="area{" best" * (number == 0)}{css}" d="{path_of_bars}"/>')
    for place, anchor, time in ((LEFT, "start", seconds[0]), (WIDTH - RIGHT, "end", ends[-1])):
        body.append(f'<text x="{place}" y="{height - 12}" text-anchor="{anchor}" class="faint">{time:.1f} s</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f"<style>{STYLE}</style>{''.join(body)}</svg>\n"
    )


def _by_mean(moments: Sequence[Moment]) -> tuple[list[str], np.ndarray]:
    """The c classes, the highest mean first, and (m, c) percentages; NaN where no face was found."""
    classes = next([name for name, _ in moment.answer.ranked] for moment in moments if moment.answer)
    missing = dict.fromkeys(classes, np.nan)
    rows = [dict(moment.answer.ranked) if moment.answer else missing for moment in moments]
    percent = np.array([[row[name] for name in classes] for row in rows])
    order = np.argsort(-_mean(percent), kind="stable")
    return [classes[place] for place in order], percent[:, order]


def _mean(percent: np.ndarray) -> np.ndarray:
    """(m, c) -> (c,), over the moments with a face; NaN if there is none."""
    seen = percent[~np.isnan(percent).any(axis=1)]
    return seen.mean(axis=0) if len(seen) else np.full(percent.shape[1], np.nan)


def _unsure(moments: Sequence[Moment]) -> np.ndarray:
    """(m,) bool."""
    return np.array([moment.answer is not None and moment.answer.unsure for moment in moments])


def _summary(moments: Sequence[Moment], gaps: str = "", guesses: str = "") -> str:
    """How many moments there are and have no sure answer; `gaps` and `guesses` say how these are drawn."""
    without, unsure = sum(moment.answer is None for moment in moments), _unsure(moments).sum()
    parts = [f"{without} without a face{gaps}"] * bool(without) + [f"{unsure} unsure{guesses}"] * bool(unsure)
    return ", ".join([f"{len(moments)} frames", *parts])


def _levels(values: np.ndarray) -> str:
    levels, gap = (LEVELS, "·") if has_blocks(sys.stdout) else (ASCII_LEVELS, "?")
    return "".join(gap if np.isnan(value) else levels[round(value / 100 * 8)] for value in values)
