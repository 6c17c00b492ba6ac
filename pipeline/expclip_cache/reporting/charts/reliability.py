"""How far percentages can be trusted: accuracy by confidence, and accuracy when only sure answers are given."""

import math
from collections.abc import Sequence
from itertools import accumulate

from expclip_cache.reporting.charts.square import BASE, LEFT, SIDE, Square
from expclip_cache.reporting.charts.svg import WIDTH, coordinate, dot, svg, text
from expclip_cache.statistics import ReliabilityRow

BARS = 54.0
"""Height of the histogram in pixels."""


def reliability_diagram(clip: Sequence[ReliabilityRow], expclip: Sequence[ReliabilityRow]) -> str:
    """A dot for each bin with answers; below, the share of the answers in each bin.

    Args:
        clip, expclip: b bins from 0 to 100 percent each.

    A dashed line shows where confidence is accuracy. The area of a dot grows with the share of the answers.
    """
    square = Square("confidence in percent", "accuracy in percent", below=BARS + 14)
    floor = BASE + square.below
    highest = max(max(_shares(clip)), max(_shares(expclip)))
    body = square.axes()
    body.append(f'<path class="chance" d="M{coordinate(LEFT)} {coordinate(BASE)}l{SIDE:g} {-SIDE:g}"/>')
    for number, (css, bins) in enumerate((("clip", clip), ("expclip", expclip))):
        wide = SIDE / len(bins) / 2 - 1
        for place, (each, share) in enumerate(zip(bins, _shares(bins), strict=True)):
            if each.confidence is None or each.accuracy is None:
                continue
            start, high = square.x(100 * place / len(bins)) + 0.5 + number * (wide + 0.5), BARS * share / highest
            body.append(
                f'<rect class="{css}" x="{coordinate(start)}" y="{coordinate(floor - high)}" '
                f'width="{coordinate(wide)}" height="{coordinate(high)}"/>'
            )
            body.append(dot(css, square.x(each.confidence), square.y(each.accuracy), round(2 + 8 * math.sqrt(share))))
    body.append(f'<path class="grid" d="M{coordinate(LEFT)} {coordinate(floor)}h{SIDE:g}"/>')
    body.append(text(LEFT - 6, floor - BARS + 6, f"{100 * highest:.0f} %", "end", "faint"))
    label = f"Accuracy by confidence in percent. CLIP: {_words(clip)}. Exp-CLIP: {_words(expclip)}"
    return svg(WIDTH, square.height, label, body)


def coverage_curve(clip: Sequence[ReliabilityRow], expclip: Sequence[ReliabilityRow]) -> str:
    """The accuracy of the answers that are left, over their share, as `--min-confidence` rises from bin to bin.

    Args:
        clip, expclip: b bins from 0 to 100 percent each.
    """
    square = Square("answers given, in percent", "accuracy in percent")
    body, words = square.axes(), []
    for css, bins in (("clip", clip), ("expclip", expclip)):
        points = _left(bins)
        line = " ".join(f"{coordinate(square.x(share))},{coordinate(square.y(right))}" for _, share, right in points)
        body.append(f'<polyline class="curve {css}" points="{line}"/>')
        body += [
            f"<g><title>at least {least:.0f} %: {share:.0f} % of the answers, {right:.0f} % of them right</title>"
            f"{dot(css, square.x(share), square.y(right), 4)}</g>"
            for least, share, right in points
        ]
        words.append(", ".join(f"{right:.0f} of {share:.0f}" for _, share, right in points))
    label = f"Accuracy of the most confident answers in percent. CLIP: {words[0]}. Exp-CLIP: {words[1]}"
    return svg(WIDTH, square.height, label, body)


def _left(bins: Sequence[ReliabilityRow]) -> list[tuple[float, float, float]]:
    """For the lower border of each bin with answers: it, and the share and the accuracy of the answers above it."""
    right = [each.answers * (each.accuracy or 0.0) for each in bins]
    counts, rights = (list(accumulate(reversed(each)))[::-1] for each in ([each.answers for each in bins], right))
    return [
        (100 * place / len(bins), 100 * count / counts[0], of_right / count)
        for place, (each, count, of_right) in enumerate(zip(bins, counts, rights, strict=True))
        if each.answers
    ]


def _shares(bins: Sequence[ReliabilityRow]) -> list[float]:
    total = sum(each.answers for each in bins)
    return [each.answers / total for each in bins]


def _words(bins: Sequence[ReliabilityRow]) -> str:
    return ", ".join(f"{each.accuracy:.0f} at {each.confidence:.0f}" for each in bins if each.answers)
