"""Charts are well-formed, described and to scale."""

from xml.etree import ElementTree

import numpy as np
import pytest

from expclip_cache.reporting.charts.heatmap import confusion_heatmap
from expclip_cache.reporting.charts.loss import loss_curve
from expclip_cache.reporting.charts.scores import recall_bars, uar_gains

CLASSES = ("happiness", "sadness & <grief>", "neutral")


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return [item for item in ElementTree.fromstring(svg).iter() if item.tag == tag]


def test_bar_length_is_proportional_to_recall():
    svg = recall_bars(CLASSES, [80.0, 40.0, float("nan")], [[60.0, 20.0, np.nan], [100.0, 40.0, np.nan]])
    clip, expclip = ([float(bar.get("width")) for bar in elements(svg, "rect") if bar.get("class") == c]
                     for c in ("clip", "expclip"))  # fmt: skip
    assert len(clip) == len(expclip) == 2
    assert clip[0] == pytest.approx(2 * clip[1], abs=0.2)
    assert expclip[0] == pytest.approx(clip[0], abs=0.2)
    assert "no test items" in svg
    assert ElementTree.fromstring(svg).get("aria-label").endswith("happiness: 80, 80; sadness & <grief>: 40, 30")


def test_a_confusion_matrix_shows_every_cell_and_leaves_rows_without_items_empty():
    percent = np.array([[90.0, 10.0, 0.0], [25.0, 50.0, 25.0], [np.nan] * 3])
    svg = confusion_heatmap(CLASSES, percent, "CLIP")
    cells = [cell for cell in elements(svg, "rect") if "heat" in cell.get("class")]
    assert len(cells) == 6
    opacities = [float(cell.get("fill-opacity")) for cell in cells]
    assert opacities[:2] == pytest.approx([0.675, 0.075])
    assert cells[1][0].text == "happiness predicted as sadness & <grief>: 10.0 %"


def test_a_difference_is_coloured_by_sign_and_scaled_to_the_largest():
    svg = confusion_heatmap(CLASSES, np.array([[20.0, -20, 0], [0, -5, 5], [0, 0, 0]]), "gain", difference=True)
    cells = {cell[0].text.split(": ")[1]: cell for cell in elements(svg, "rect") if "heat" in cell.get("class")}
    assert "more" in cells["+20.0 points"].get("class")
    assert "less" in cells["-20.0 points"].get("class")
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
    svg = uar_gains([("raf-db", 35.0, 41.5, 0.2), ("a<b", 50.0, 48.0, 0.0)])
    texts = [item.text for item in elements(svg, "text")]
    assert {"+6.5", "-2.0", "a<b"} <= set(texts)


def test_equal_numbers_give_equal_text():
    percent = np.random.default_rng(1).random((7, 7)) * 100
    names = tuple("abcdefg")
    assert confusion_heatmap(names, percent, "x") == confusion_heatmap(names, percent.copy(), "x")
