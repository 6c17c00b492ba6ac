"""The page and the table of an ablation: to scale, complete, without scripts, and within 80 columns."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.console import Console

from expclip_cache.reporting import AblatedAxis, AblatedValue, AblationPage, ablation_to_terminal, render_ablation
from expclip_cache.reporting.charts.axis import axis_chart, rounded_range
from expclip_cache.reporting.charts.change import change_chart

SETS = ("first", "second & <third>")


def value(label, uar, change=None, number=None, heads=1) -> AblatedValue:
    return AblatedValue(
        label=label,
        number=number,
        centre=change is None,
        uar=uar,
        low=uar - 2,
        high=uar + 1,
        std=1.5 if heads > 1 else 0.0,
        heads=tuple(uar + step for step in range(heads)),
        by_set=(uar - 10, uar + 10),
        clip=30.0,
        change=None if change is None else (change, change - 1, change + 1),
    )


HEAD = AblatedAxis(
    "head", "Head", "How it is fitted.", (value("sgd", 50.0, heads=3), value("ridge & <co>", 60.0, 10.0))
)
FACES = AblatedAxis(
    "faces",
    "Number of faces",
    "How many.",
    (value("100", 40.0, -20.0, 100), value("1,000", 55.0, -5.0, 1000), value("10,000 (all)", 60.0, None, 10_000)),
)
PAGE = AblationPage(
    centre=[("head", "sgd"), ("prompt type", "5")],
    axes=(HEAD, FACES),
    test_sets=[(SETS[0], 1400), (SETS[1], 420)],
    cells=46,
    trained_on="caer-s",
    confidence=95.0,
    drawn="",
    left_out=["prompt type 1 <is> left out"],
)


def elements(svg: str, tag: str, css: str = "") -> list[ElementTree.Element]:
    return [item for item in ElementTree.fromstring(svg).iter() if item.tag == tag and item.get("class", "") == css]


def places(items, key="cx") -> list[float]:
    return [float(item.get(key)) for item in items]


def scale(svg: str):
    """UAR of an x coordinate, from the labels of the axis."""
    ticks = [
        (float(t.get("x")), float(t.text)) for t in elements(svg, "text", "faint") if re.fullmatch(r"[+-]?\d+", t.text)
    ]
    (x0, v0), *_, (x1, v1) = ticks
    return lambda x: v0 + (x - x0) * (v1 - v0) / (x1 - x0)


def test_dots_whiskers_and_lines_are_to_scale():
    svg = axis_chart(HEAD, SETS)
    uar = scale(svg)
    assert [uar(x) for x in places(elements(svg, "circle", "expclip"))] == pytest.approx([50, 60], abs=0.3)
    assert [uar(x) for x in places(elements(svg, "circle", "clip"))] == pytest.approx([30, 30], abs=0.3)
    assert [uar(x) for x in places(elements(svg, "circle", "head"))] == pytest.approx([50, 51, 52], abs=0.3)
    whiskers = [
        re.match(r"M([\d.]+) [\d.]+H([\d.]+)", one.get("d")).groups() for one in elements(svg, "path", "whisker")
    ]
    assert [[uar(float(x)) for x in ends] for ends in whiskers] == [
        pytest.approx([48, 51], abs=0.3),
        pytest.approx([58, 61], abs=0.3),
    ]
    lines = elements(svg, "polyline", "test-set")
    assert [line[0].text for line in lines] == list(SETS)
    first = [float(point.split(",")[0]) for point in lines[0].get("points").split()]
    assert [uar(x) for x in first] == pytest.approx([40, 50], abs=0.3)
    (ring,) = elements(svg, "circle", "ring")
    assert float(ring.get("cx")) == places(elements(svg, "circle", "expclip"))[0]
    assert "sgd: 50.0, interval 48.0 to 51.0 (centre)" in ElementTree.fromstring(svg).get("aria-label")


def test_numbers_of_faces_are_on_a_logarithmic_scale():
    svg = axis_chart(FACES, SETS)
    first, second, third = places(elements(svg, "circle", "expclip"))
    assert second - first == pytest.approx(third - second, abs=0.2)
    labels = [t.text for t in elements(svg, "text", "faint") if "," in t.text or t.text == "100"]
    assert labels == ["10,000", "1,000", "100"]
    assert len(elements(svg, "path", "chance")) == 1, "plain CLIP"
    heights = places(elements(svg, "circle", "expclip"), "cy")
    assert heights[0] > heights[1] > heights[2]


def test_changes_are_to_scale_and_the_centre_is_at_zero():
    svg = change_chart(FACES)
    change = scale(svg)
    assert [change(x) for x in places(elements(svg, "circle", "expclip"))] == pytest.approx([-20, -5, 0], abs=0.3)
    assert [change(x) for x in places(elements(svg, "circle", "ring"))] == pytest.approx([0], abs=0.3)
    assert [change(x) for x in places(elements(svg, "circle", "head"))] == pytest.approx([-20, -20, -5, -5], abs=0.3)
    (zero,) = elements(svg, "path", "chance")
    assert change(float(re.match(r"M([\d.]+)", zero.get("d"))[1])) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (-0.04, 0.13), (47.2, 86.4), (-20.0, 0.0), (0.0, 100.0)])
def test_a_range_holds_its_values_between_few_round_numbers(low, high):
    first, last, ticks = rounded_range(low, high)
    assert first <= low <= high <= last
    assert 3 <= len(ticks) <= 10
    assert (ticks[0], ticks[-1]) == pytest.approx((first, last))


def test_a_single_test_set_has_no_lines_of_its_own():
    single = replace(HEAD, values=tuple(replace(v, by_set=(v.uar,)) for v in HEAD.values))
    assert not elements(axis_chart(single, SETS[:1]), "polyline", "test-set")
    assert not elements(change_chart(single), "circle", "head")
    text = render_ablation(replace(PAGE, axes=(single,), test_sets=PAGE.test_sets[:1])).decode()
    assert "<caption>first</caption>" in text
    assert "faint lines" not in text


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


def test_the_page_has_every_axis_loads_nothing_and_escapes_names():
    text = render_ablation(PAGE).decode()
    tags = Tags()
    tags.feed(text)
    assert not {"script", "link", "iframe", "object", "img"} & set(tags.found)
    assert tags.found.count("svg") == 4
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert "<co>" not in text
    assert "<third>" not in text
    assert "<is>" not in text
    assert text.count('id="') == 2 + 2, "the centre, what is left out, and the axes"
    assert render_ablation(PAGE) == render_ablation(PAGE)


def test_no_line_of_the_terminal_is_too_long(capsys):
    long = replace(
        HEAD,
        values=(replace(HEAD.values[0], label="Please play the role of a facial action describer."), *HEAD.values[1:]),
    )
    Console(width=80).print(ablation_to_terminal(replace(PAGE, axes=(long, FACES))))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for cell in ("+10.0 [+9.0, +11.0]", "-20.0 [-21.0, -19.0]", "50.0 [48.0, 51.0]", "10,000 (all)"):
        assert cell in shown
