"""Charts and tables of probes: every number where it belongs, gaps and long names included."""

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from expclip_cache.probes import FewShotRow, ProbeResults, SquareRow
from expclip_cache.reporting import probes_to_terminal
from expclip_cache.reporting.charts.few_shot import Shots, few_shot_curve
from expclip_cache.reporting.page.probe_section import square_chart
from expclip_cache.reporting.probe_content import PROBE, backbones_of

HEADS = ("", "contrastive", "ridge")


def square_row(trained_on: str, test_set: str, uar: float, head: str | None = None, classes: int = 7) -> SquareRow:
    """A probe's row, or that of a head (empty: plain CLIP)."""
    probe = head is None
    return SquareRow(
        backbone="b32", trained_on=trained_on, test_set=test_set, method="probe" if probe else "zero-shot",
        prompts="" if probe else "reference", prompt_type=None if probe else 5, teacher="t5" if head else "",
        head=head or "", classes=classes, items=100, trained_items=90 if probe else None, folds=None, l2="1", seed=1,
        uar=uar, uar_low=uar - 2, uar_high=uar + 2, war=uar, war_low=uar - 2, war_high=uar + 2, confidence=95.0,
        made_from="x",
    )  # fmt: skip


def few_row(test_set: str, shots: int, uar: float, head: str | None = None) -> FewShotRow:
    probe = head is None
    return FewShotRow(
        backbone="b32", trained_on="raf-db", test_set=test_set, method="probe" if probe else "zero-shot",
        prompts="" if probe else "reference", prompt_type=None if probe else 5, teacher="t5" if head else "",
        head=head or "", shots=shots, draws=5, classes=7, items=100, l2="0.1", seed=1, uar=uar, uar_std=1.5, war=uar,
        war_std=1.5, made_from="x",
    )  # fmt: skip


def results() -> ProbeResults:
    """Three sets; AffectNet-8 has a class more, and nothing is left to train on it for AffectNet-7."""
    sets = ("raf-db", "affectnet-7", "affectnet-8")
    square, few = [], []
    for number, train in enumerate(sets):
        for column, test in enumerate(sets):
            if (train, test) == ("affectnet-8", "affectnet-7"):
                continue
            classes = 8 if train == test == "affectnet-8" else 7
            square.append(square_row(train, test, 50.0 + 10 * number + column, classes=classes))
            square += [square_row(train, test, 30.0 + 2 * k + column, head, classes) for k, head in enumerate(HEADS)]
    for test in sets:
        for shots in (1, 16):
            few.append(few_row(test, shots, 20.0 + shots))
            few += [few_row(test, shots, 33.0 + k, head) for k, head in enumerate(HEADS)]
    return ProbeResults(tuple(square), tuple(few))


def shown(found: ProbeResults) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(probes_to_terminal(found))
    return capture.get()


def test_the_terminal_marks_cells_of_fewer_classes_and_leaves_gaps():
    text = shown(results())
    lines = [line.split() for line in text.splitlines() if line.startswith(" on ")]
    assert lines == [
        ["on", "raf-db", "50.0", "51.0", "52.0*"],
        ["on", "affectnet-7", "60.0", "61.0", "62.0*"],
        ["on", "affectnet-8", "70.0", "72.0"],
    ]
    assert "*: only the classes of both sets." in text
    # On all eight classes where there is such a cell.
    assert re.search(r"plain CLIP +30\.0 +31\.0 +32\.0 ", text)


def test_means_are_those_of_the_cells_on_and_off_the_diagonal():
    (one,) = backbones_of(results())
    assert one.means(PROBE) == pytest.approx(((50 + 61 + 72) / 3, (51 + 52 + 60 + 62 + 70) / 5))
    assert one.means("plain CLIP") == pytest.approx((31.0, (31 + 32 + 30 + 32 + 30) / 5))
    alone = replace(results(), square=tuple(row for row in results().square if row.within), few_shot=())
    assert backbones_of(alone)[0].means(PROBE)[1] is None
    assert "across sets" in shown(alone)


def test_the_square_has_a_cell_for_every_row_and_none_for_a_gap():
    (one,) = backbones_of(results())
    svg = ElementTree.fromstring(square_chart(one))
    cells = [item for item in svg.iter("rect") if "heat" in item.get("class", "").split()]
    titles = [next(iter(cell)).text for cell in cells]
    assert len(cells) == 8 + 9
    assert titles[2] == "trained on raf-db, tested on affectnet-8: 52.0 [50.0, 54.0]"
    assert titles[-1] == "ridge, tested on affectnet-8: 36.0 [34.0, 38.0]"
    assert [item.text for item in svg.iter("text") if item.get("class") == "cell"][:4] == [
        "50.0",
        "51.0",
        "52.0*",
        "60.0",
    ]
    assert "affectnet-8: 70.0, none, 72.0" in svg.get("aria-label", "")
    opacities = [float(cell.get("fill-opacity", "")) for cell in cells]
    assert max(opacities) == opacities[7]


def test_lines_of_equal_scores_have_names_that_do_not_overlap():
    chart = few_shot_curve(
        "a & b", [Shots(1, 30.0, 0.0), Shots(4, 50.0, 3.0)], None, {"plain CLIP": 40.0, "x": 40.1, "y": 40.0}
    )
    svg = ElementTree.fromstring(chart)
    names = {item.text: float(item.get("y", "")) for item in svg.iter("text") if item.get("class") == "small"}
    heights = sorted(names.values())
    assert min(later - earlier for earlier, later in itertools.pairwise(heights)) >= 12.9
    assert len(list(svg.iter("circle"))) == 2
    assert len([item for item in svg.iter("path") if item.get("class") == "whisker probe"]) == 1
    assert "1: 30.0 ± 0.0; 4: 50.0 ± 3.0; plain CLIP: 40.0; x: 40.1; y: 40.0" in svg.get("aria-label", "")


def test_one_number_of_shots_has_a_chart_too():
    svg = ElementTree.fromstring(few_shot_curve("a", [Shots(2, 30.0, 1.0)], 90.0, {"plain CLIP": 95.0}))
    assert "nan" not in ElementTree.tostring(svg, encoding="unicode")
    assert len(list(svg.iter("circle"))) == 2
