"""Maps of features as charts: marks that every eye tells apart, names that can be read, everything inside the frame."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from expclip_cache import reporting
from expclip_cache.reporting.charts.class_marks import COLOURS, class_mark
from expclip_cache.reporting.charts.feature_map import LONGEST, SIDE, map_elements
from expclip_cache.reporting.charts.label_places import HEIGHT, LETTER, Box, label_places

STYLE = (Path(reporting.__file__).parent / "page" / "style.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{([^}]*)\}", STYLE)[:2]
)
SCHEMES = {"light": LIGHT, "dark": LIGHT | DARK}

# Machado, Oliveira and Fernandes (2009): what linear RGB looks like without one kind of cone.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear_rgb(colour: str) -> np.ndarray:
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(to_xyz @ rgb, 0.008857, None) / to_xyz.sum(axis=1)) if rgb.any() else (0, 0, 0)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_eye_can_tell_the_colours_apart(scheme, eye):
    colours = [SCHEMES[scheme][f"class-{number}"] for number in range(COLOURS)]
    seen = [lab(np.clip(EYES[eye] @ linear_rgb(colour), 0, 1)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10
    paper = lab(linear_rgb(SCHEMES[scheme]["paper"]))
    assert min(np.linalg.norm(colour - paper) for colour in seen) > 30


def elements(body: list[str], css: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(f"<svg>{''.join(body)}</svg>")
    return [item for item in root.iter() if css in item.get("class", "").split()]


def test_28_classes_have_marks_of_their_own():
    marks = {class_mark(label, 0, 0, 5) for label in range(28)}
    assert len(marks) == 28


def points_of(mark: ElementTree.Element) -> np.ndarray:
    if mark.tag == "circle":
        x, y, r = (float(mark.get(key)) for key in ("cx", "cy", "r"))
        return np.array([[x - r, y - r], [x + r, y + r]])
    return np.array([pair.split() for pair in mark.get("d").strip("Mz").split("L")], dtype=float)


@pytest.mark.parametrize("items", [1, 5, 400])
def test_marks_and_names_stay_inside_the_frame(items):
    random = np.random.default_rng(items)
    classes = [f"class {number}" for number in range(4)]
    places = 1000 * random.normal(size=(items + 4, 2))
    truth = random.integers(0, 4, items)
    body = map_elements(classes, places[:items], truth, [f"{k} & <b>" for k in range(items)], places[items:])
    marks = [*elements(body, "item"), *elements(body, "prompt")]
    assert len(marks) == items + 4
    for mark in marks:
        assert ((points_of(mark) >= 0) & (points_of(mark) <= SIDE)).all()
    names = elements(body, "halo")
    assert [name.text for name in names] == classes
    places = [(float(name.get("x")), float(name.get("y")), name.get("text-anchor")) for name in names]
    for box in boxes(classes, places):
        assert min(box) >= 0
        assert max(box) <= SIDE


def test_places_are_scaled_alike_in_both_directions():
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]])
    body = map_elements(("a",), corners, np.zeros(3, dtype=int), ["0", "1", "2"], np.array([[10.0, 5.0]]))
    found = {mark[0].text: points_of(mark).mean(axis=0) for mark in elements(body, "item")}
    width, height = found["1"] - found["0"], found["2"] - found["0"]
    assert width[0] == pytest.approx(2 * height[1], abs=0.2)
    assert (width[1], height[0]) == (0, 0)


def test_a_long_name_is_cut_and_whole_in_its_title():
    name = "an expression of <b> that takes a whole sentence"
    body = map_elements((name,), np.eye(2), np.zeros(2, dtype=int), ["", "x"], np.ones((1, 2)))
    (label,), (mark,) = elements(body, "halo"), elements(body, "prompt")
    assert len(label.text) == LONGEST
    assert mark[0].text == f"prompts of {name}"


def boxes(names, places) -> list[Box]:
    """The room that names take."""
    found = []
    for name, (x, y, anchor) in zip(names, places, strict=True):
        left = x - LETTER * len(name) * {"start": 0, "middle": 0.5, "end": 1}[anchor]
        found.append(Box(left, y + 4 - HEIGHT, left + LETTER * len(name), y + 4))
    return found


def test_names_of_marks_that_are_close_do_not_cover_each_other():
    marks = [(200.0, 200.0), (206.0, 203.0), (195.0, 210.0), (210.0, 215.0)]
    names = ["happiness", "sadness", "anger", "fear"]
    places = label_places(marks, names, 8, Box(0, 0, 400, 400), np.empty((0, 2)))
    for one, other in combinations(boxes(names, places), 2):
        assert min(one.right, other.right) <= max(one.left, other.left) or min(one.bottom, other.bottom) <= max(
            one.top, other.top
        )


def test_a_name_avoids_a_dot_where_it_can():
    dots = np.array([[230.0, 200.0]])
    ((x, _, anchor),) = label_places([(200.0, 200.0)], ["anger"], 8, Box(0, 0, 400, 400), dots)
    assert (x, anchor) == (200 - 8 - 3, "end")
