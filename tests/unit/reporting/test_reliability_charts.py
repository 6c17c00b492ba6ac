"""The reliability diagram and the coverage curve are to scale and tell what they show."""

from xml.etree import ElementTree

import numpy as np
import pytest

from expclip_cache.reporting.charts.reliability import coverage_curve, reliability_diagram
from expclip_cache.reporting.charts.square import BASE, LEFT, SIDE
from expclip_cache.statistics.calibration_results import ReliabilityRow


def bins(filled: dict[int, tuple[int, float, float]]) -> list[ReliabilityRow]:
    """15 bins; number -> answers, confidence, accuracy."""
    row = ("raf-db", "b32", "", "", "reference", 5)
    return [ReliabilityRow(*row, number, *filled.get(number, (0, None, None))) for number in range(1, 16)]


CLIP = bins({4: (30, 25.0, 40.0), 8: (70, 50.0, 20.0)})
EXPCLIP = bins({9: (100, 58.0, 50.0), 15: (400, 98.0, 95.0)})


def parts(svg: str, tag: str, css: str | None = None) -> list[ElementTree.Element]:
    found = [item for item in ElementTree.fromstring(svg).iter() if item.tag == tag]
    return [item for item in found if css is None or item.get("class") == css]


def places(svg: str, css: str) -> list[tuple[float, float]]:
    """The dots in percent."""
    return [
        (100 * (float(dot.get("cx")) - LEFT) / SIDE, 100 * (BASE - float(dot.get("cy"))) / SIDE)
        for dot in parts(svg, "circle", css)
    ]


def test_dots_are_at_confidence_and_accuracy_and_grow_with_their_answers():
    svg = reliability_diagram(CLIP, EXPCLIP)
    np.testing.assert_allclose(places(svg, "clip"), [(25, 40), (50, 20)], atol=0.05)
    np.testing.assert_allclose(places(svg, "expclip"), [(58, 50), (98, 95)], atol=0.05)
    small, large = (int(dot.get("r")) for dot in parts(svg, "circle", "expclip"))
    assert small < large
    label = ElementTree.fromstring(svg).get("aria-label")
    assert label == "Accuracy by confidence in percent. CLIP: 40 at 25, 20 at 50. Exp-CLIP: 50 at 58, 95 at 98"


def test_bars_are_the_shares_of_the_answers_within_their_bins():
    svg = reliability_diagram(CLIP, EXPCLIP)
    heights = [[float(bar.get("height")) for bar in parts(svg, "rect", css)] for css in ("clip", "expclip")]
    assert heights[0] == pytest.approx([54 * 0.3 / 0.8, 54 * 0.7 / 0.8], abs=0.1)
    assert heights[1] == pytest.approx([54 * 0.2 / 0.8, 54], abs=0.1)
    assert "80 %" in [item.text for item in parts(svg, "text")]
    for css, numbers in (("clip", (4, 8)), ("expclip", (9, 15))):
        for bar, number in zip(parts(svg, "rect", css), numbers, strict=True):
            start, end = (LEFT + SIDE * edge / 15 for edge in (number - 1, number))
            assert start <= float(bar.get("x"))
            assert float(bar.get("x")) + float(bar.get("width")) <= end


def test_the_curve_has_the_answers_at_and_above_each_bin():
    svg = coverage_curve(CLIP, EXPCLIP)
    np.testing.assert_allclose(places(svg, "clip"), [(100, 26), (70, 20)], atol=0.05)
    np.testing.assert_allclose(places(svg, "expclip"), [(100, 86), (80, 95)], atol=0.05)
    titles = [item.text for item in parts(svg, "title")]
    assert "at least 93 %: 80 % of the answers, 95 % of them right" in titles
    assert ElementTree.fromstring(svg).get("aria-label").endswith("Exp-CLIP: 86 of 100, 95 of 80")
