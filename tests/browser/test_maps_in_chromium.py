"""The page of maps in a browser, and one of its SVG files: self-contained, no wider than the window, readable."""

import numpy as np
import pytest
from browser.chromium import Chromium, programs
from browser.page_checks import LOW_CONTRAST, UNNAMED_IMAGES, WIDER_THAN_THE_WINDOW

from expclip_cache.maps import FeatureMap, Panel
from expclip_cache.reporting import map_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="needs chromium and chromedriver (Debian: chromium chromium-driver)"),
]
ITEMS = 60


def sample(name: str, classes: int) -> FeatureMap:
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes - 1, ITEMS)
    panels = tuple(
        Panel(head, random.normal(size=(ITEMS, 2)), random.normal(size=(classes, 2)), truth, 41.0, 52.5, 33.3, 66.6)
        for head in ("", "a-head-with-a-rather-long-name-of-its-own, seed 1", "ridge")
    )
    names = [
        f"<class {number}> with a longer name" if number % 5 == 4 else f"class {number}" for number in range(classes)
    ]
    return FeatureMap(
        name=name,
        classes=tuple(names),
        prompt_type=5,
        scored=12_345,
        skipped=1,
        rows=np.arange(ITEMS),
        paths=tuple(f"a-rather-long-folder-name/{item}&<i>.png" for item in range(ITEMS)),
        truth=truth,
        neighbours=10,
        chance=14.3,
        panels=panels,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    for name, content in map_files([sample("faces", 7), sample("a-set-with-a-long-name-of-its-own", 12)]).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1400, False), (1400, True)])
def test_the_page_of_maps_is_self_contained_fits_and_can_be_read(browser, folder, width, dark):
    page = folder / "index.html"
    browser.open(page.as_uri(), width=width, dark=dark)
    assert browser.console() == []
    assert [url for url in browser.requested() if not url.startswith("data:")] == [page.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run(WIDER_THAN_THE_WINDOW) == []
    assert browser.run(LOW_CONTRAST) == []
    assert browser.run(UNNAMED_IMAGES) == 0
    assert browser.run("return document.querySelectorAll('.item').length") == 2 * 3 * ITEMS
    browser.screenshot(page.with_name(f"{width}-{dark}.png"))


def test_an_svg_file_has_the_colours_of_the_light_style(browser, folder):
    browser.open((folder / "map-faces.svg").as_uri(), dark=True)
    fills = browser.run("return [...document.querySelectorAll('.prompt')].map(mark => getComputedStyle(mark).fill)")
    assert len(fills) == 3 * 7
    assert fills[0] == "rgb(0, 114, 178)"
    assert browser.run("return getComputedStyle(document.querySelector('.prompt')).stroke") == "rgb(27, 31, 36)"
