"""Charts are well-formed, described and to scale."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from expclip_cache import reporting
from expclip_cache.reporting.charts.heatmap import confusion_heatmap
from expclip_cache.reporting.charts.loss import loss_curve
from expclip_cache.reporting.charts.scores import GainRow, recall_bars, uar_gains

CLASSES = ("happiness", "sadness & <grief>", "neutral")


SPANS = [(30.0, 70.0), (20.0, 60.0), None]
"""Intervals of the recalls of the classes."""


def gain_row(name: str, clip: float, expclip: float, std: float) -> GainRow:
    """With intervals of a point to either side, and two points to either side of the gain."""
    gain, intervals = expclip - clip, [(value - 1, value + 1) for value in (clip, expclip)]
    return GainRow(name, clip, intervals[0], expclip, intervals[1], gain, gain - 2, gain + 2, std)


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return [item for item in ElementTree.fromstring(svg).iter() if item.tag == tag]


def test_bar_length_is_proportional_to_recall():
    svg = recall_bars(CLASSES, [80.0, 40.0, float("nan")], [[60.0, 20.0, np.nan], [100.0, 40.0, np.nan]], SPANS, SPANS)
    clip, expclip = ([float(bar.get("width")) for bar in elements(svg, "rect") if bar.get("class") == c]
                     for c in ("clip", "expclip"))  # fmt: skip
    assert len(clip) == len(expclip) == 2
    assert clip[0] == pytest.approx(2 * clip[1], abs=0.2)
    assert expclip[0] == pytest.approx(clip[0], abs=0.2)
    assert "no test items" in svg
    assert ElementTree.fromstring(svg).get("aria-label").endswith("happiness: 80, 80; sadness & <grief>: 40, 30")


def test_whiskers_span_the_intervals_of_recalls_and_dots_are_single_seeds():
    svg = recall_bars(CLASSES[:2], [80.0, 40.0], [[60.0, 20.0], [100.0, 40.0]], [(70, 90), (30, 50)], SPANS[:2])
    bars = [bar for bar in elements(svg, "rect") if bar.get("class") == "clip"]
    start, scale = float(bars[0].get("x")), float(bars[0].get("width")) / 80
    ends = [
        re.findall(r"[\d.]+", path.get("d"))[:3:2] for path in elements(svg, "path") if path.get("class") == "whisker"
    ]
    for (low, high), expected in zip(ends, [(70, 90), SPANS[0], (30, 50), SPANS[1]], strict=True):
        assert ((float(low) - start) / scale, (float(high) - start) / scale) == pytest.approx(expected, abs=0.1)
    seeds = [(float(item.get("cx")) - start) / scale for item in elements(svg, "circle")]
    assert seeds == pytest.approx([60, 100, 20, 40], abs=0.1)


def test_a_confusion_matrix_shows_every_cell_and_leaves_rows_without_items_empty():
    percent = np.array([[90.0, 10.0, 0.0], [25.0, 50.0, 25.0], [np.nan] * 3])
    svg = confusion_heatmap(CLASSES, percent, "CLIP")
    cells = [cell for cell in elements(svg, "rect") if "heat" in cell.get("class")]
    assert len(cells) == 6
    opacities = [float(cell.get("fill-opacity")) for cell in cells]
    assert opacities[:2] == pytest.approx([0.675, 0.075])
    assert cells[1][0].text == "happiness predicted as sadness & <grief>: 10.0 %"


def test_a_difference_is_coloured_by_what_it_means_and_scaled_to_the_largest():
    svg = confusion_heatmap(CLASSES, np.array([[20.0, -20, 0], [0, -5, 5], [0, 0, 0]]), "gain", difference=True)
    cells = {cell[0].text.split(": ")[1]: cell for cell in elements(svg, "rect") if "heat" in cell.get("class")}
    assert "more" in cells["+20.0 points"].get("class")
    # Fewer faces taken for another class are a change for the better, more are one for the worse.
    assert "more" in cells["-20.0 points"].get("class")
    assert "less" in cells["-5.0 points"].get("class")
    assert "less" in cells["+5.0 points"].get("class")
    opacities = {name: float(cell.get("fill-opacity")) for name, cell in cells.items()}
    assert opacities["-20.0 points"] == opacities["+20.0 points"] == 0.75
    assert opacities["-5.0 points"] == pytest.approx(0.75 / 4, abs=1e-3)


@pytest.mark.parametrize("losses", [{"a": [3.0]}, {"a": [2.0, 2.0]}, {"a": [5.1, 4.2, 4.0], "b": [5.0, 4.4, 4.1]}])
def test_a_loss_curve_stays_inside_its_frame(losses):
    svg = loss_curve(losses)
    height = float(ElementTree.fromstring(svg).get("viewBox").split()[3])
    lines = elements(svg, "polyline")
    assert len(lines) == len(losses)
    for line in lines:
        assert all(0 <= float(point.split(",")[1]) <= height for point in line.get("points").split())


def test_gains_are_shown_in_points():
    svg = uar_gains([gain_row("raf-db", 35.0, 41.5, 0.2), gain_row("a<b", 50.0, 48.0, 0.0)])
    texts = [item.text for item in elements(svg, "text")]
    assert {"+6.5", "[4.5, 8.5]", "-2.0", "[-4.0, 0.0]", "a<b"} <= set(texts)


def test_bands_span_the_intervals_and_whiskers_the_seeds():
    rows = [gain_row("raf-db", 30.0, 40.0, 4.0)]
    svg = uar_gains(rows)
    dots = {item.get("class"): float(item.get("cx")) for item in elements(svg, "circle")}
    per_point = (dots["expclip"] - dots["clip"]) / 10
    paths = {item.get("class"): re.findall(r"[\d.]+", item.get("d")) for item in elements(svg, "path")}
    for name in ("clip", "expclip"):
        low, _, high = map(float, paths[f"band {name}"])
        assert (dots[name] - low, high - dots[name]) == pytest.approx((per_point, per_point), abs=0.11)
    low, _, high = map(float, paths["whisker"][:3])
    assert (dots["expclip"] - low, high - dots["expclip"]) == pytest.approx((4 * per_point,) * 2, abs=0.11)


def test_equal_numbers_give_equal_text():
    percent = np.random.default_rng(1).random((7, 7)) * 100
    names = tuple("abcdefg")
    assert confusion_heatmap(names, percent, "x") == confusion_heatmap(names, percent.copy(), "x")


def test_a_number_that_is_rounded_to_zero_has_no_sign():
    svg = confusion_heatmap(CLASSES, np.array([[-0.2, 0, 0], [0, -0.04, 0], [0, 0, 0]]), "gain", difference=True)
    assert "-0" not in ElementTree.fromstring(svg).get("aria-label")
    assert {"-0.2 points", "0.0 points"} == {cell[0].text.split(": ")[1] for cell in elements(svg, "rect") if len(cell)}
    assert "0.0" in [item.text for item in elements(uar_gains([gain_row("raf-db", 35.04, 35.0, 0.0)]), "text")]


def test_recall_has_an_axis_and_a_line_of_chance():
    svg = recall_bars(CLASSES, [25.0, 50.0, 50.0], [[100 / 3, 50.0, 50.0]], SPANS, SPANS)
    (chance,) = [path for path in elements(svg, "path") if path.get("class") == "chance"]
    bar = next(bar for bar in elements(svg, "rect") if bar.get("class") == "expclip")
    assert float(chance.get("d")[1:].split()[0]) == pytest.approx(
        float(bar.get("x")) + float(bar.get("width")), abs=0.2
    )
    assert "recall in percent; dashed: chance" in [item.text for item in elements(svg, "text")]


def luminance(colour: str) -> float:
    """Relative luminance as the WCAG define it."""
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_clip_and_expclip_differ_in_lightness_so_that_print_and_every_eye_can_tell_them_apart(scheme):
    style = (Path(reporting.__file__).parent / "page" / "style.css").read_text()
    clip, expclip = (luminance(re.findall(rf"--{name}: (#\w{{6}})", style)[scheme]) for name in ("clip", "expclip"))
    lighter, darker = max(clip, expclip), min(clip, expclip)
    assert (lighter + 0.05) / (darker + 0.05) > 3
