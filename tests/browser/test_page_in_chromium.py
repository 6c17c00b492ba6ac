"""The page in a browser: no console messages, nothing loaded from elsewhere, nothing wider than the window."""

import os
import re
from pathlib import Path

import pytest
from browser.chromium import Chromium, programs
from browser.page_checks import LOW_CONTRAST, UNNAMED_IMAGES, WIDER_THAN_THE_WINDOW
from PIL import Image

from expclip_cache.base.progress import FinishedBar, SilentReporter
from expclip_cache.base.stage_times import StageTime
from expclip_cache.probes import ProbeSettings, probe_study, write_probes
from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.page.html import render_page, render_times
from expclip_cache.reporting.page.reading import read_page
from expclip_cache.settings import PROBES, TEACHERS, study_probe_inputs, study_teacher_inputs
from expclip_cache.statistics.bootstrap import Interval, ScoreIntervals
from expclip_cache.teachers import compare_teachers, write_teachers
from paper_rows import other_rows
from sample_results import inputs_of, study, write_results
from teacher_study import with_teachers, write_training

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="needs chromium and chromedriver (Debian: chromium chromium-driver)"),
]
PAIR = Pair(41.53, 50.27)
INTERVALS = ScoreIntervals(Interval(98.76, 99.99), Interval(98.76, 99.99))
PUBLISHED = [
    Comparison(
        test_set="ferv39k",
        part="whole",
        backbone="b32",
        teacher="demo-llm",
        head="contrastive",
        prompts="reference",
        prompt_type=kind,
        published_as="CLIP B/32",
        n=7847,
        published_n=7847,
        clip=PAIR,
        clip_intervals=INTERVALS,
        expclip=PAIR,
        expclip_intervals=INTERVALS,
        paper_clip=PAIR,
        paper_expclip=PAIR,
        log=PAIR,
        log_intervals=INTERVALS,
        later=PAIR,
    )
    for kind in (2, 5)
]
TIMES = [
    StageTime(f"images@a-long-name-{k}", 4000.0, "2026-01-02T03:04:05+00:00", "x86_64, 2 cores",
              (FinishedBar("features", 123_456, "image", 3_999.0), FinishedBar("more", 7, "image", 1.0)))
    for k in range(3)
]  # fmt: skip


@pytest.fixture(scope="module", params=[7, 11], ids=["7 classes", "11 classes"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    before = Path.cwd()
    os.chdir(folder)
    try:
        long_path = "{name}/a-rather-long-folder-name-without-any-space-in-it/<i>{item}</i>.png"
        settings = study(backbones=("b32", "a-backbone-with-a-rather-long-name-of-its-own"), test_sets=("one", "two"))
        settings = with_teachers(settings)
        write_results(folder, settings, classes=request.param, items=330, path=long_path)
        write_training(folder, settings)
        compared = study_teacher_inputs(settings, tuple(settings.backbones))
        write_teachers(compare_teachers(compared, settings.statistics, SilentReporter()), TEACHERS)
        probes = probe_study(
            study_probe_inputs(settings), ProbeSettings(draws=2), settings.statistics, SilentReporter()
        )
        write_probes(probes, PROBES)
        page = read_page(inputs_of(settings), PUBLISHED)
        assert page.probes is not None
        assert page.teachers is not None
        faces = page.views[0].sets[0].fixed[:6]
        for face in faces:
            (folder / "faces" / face.path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64), "teal").save(folder / "faces" / face.path)
        page = read_page(
            inputs_of(settings, {page.views[0].rows[0].test_set: folder / "faces"}), PUBLISHED, other_rows()
        )
    finally:
        os.chdir(before)
    (folder / "index.html").write_bytes(render_page(page))
    (folder / "times.html").write_bytes(render_times(TIMES))
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_self_contained_fits_and_logs_nothing(browser, page, width):
    browser.open(page.as_uri(), width=width)
    assert browser.run("return innerWidth") == width
    assert browser.console() == []
    assert [url for url in browser.requested() if not url.startswith("data:")] == [page.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    for number in range(1, 5):
        browser.run(f"document.getElementById('show-{number}').click()")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run(WIDER_THAN_THE_WINDOW) == []
    assert browser.run("return [...document.images].every(image => image.naturalWidth > 0)")
    assert browser.run("return document.querySelectorAll('#view-1 img').length") >= 6
    assert browser.run(UNNAMED_IMAGES) == 0
    assert browser.run("return [...document.querySelectorAll('th')].every(cell => cell.scope)")
    browser.screenshot(page.with_name(f"{width}.png"))


def shown(browser: Chromium) -> list[str]:
    """Ids of the views that take up room."""
    return browser.run("return [...document.querySelectorAll('.view')].filter(v => v.offsetHeight).map(v => v.id)")


def test_the_radio_buttons_choose_the_view_by_mouse_and_keyboard(browser, page):
    browser.open(page.as_uri())
    assert shown(browser) == ["view-1"]
    for number in (3, 2, 4, 1):
        browser.click(f"label:has(#show-{number})")
        assert shown(browser) == [f"view-{number}"]
    for number in (2, 3, 4, 1):
        browser.press("ArrowDown")
        assert browser.run("return document.activeElement.id") == f"show-{number}"
        assert shown(browser) == [f"view-{number}"]
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert browser.console() == []
    browser.run("document.querySelector('#show-3').click()")
    browser.open(page.as_uri())
    assert shown(browser) == ["view-1"]


def test_the_scores_of_all_systems_stay_when_another_view_is_chosen(browser, page):
    browser.open(page.as_uri())
    before = browser.run("return document.querySelector('#scores').innerText")
    browser.click("label:has(#show-4)")
    assert browser.run("return document.querySelector('#scores').innerText") == before


def test_without_style_sheets_every_view_is_there(browser, page):
    bare = page.with_name("bare.html")
    bare.write_text(re.sub(r"<style>.*?</style>", "", page.read_text(), flags=re.DOTALL))
    browser.open(bare.as_uri())
    assert shown(browser) == [f"view-{number}" for number in range(1, 5)]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_has_enough_contrast(browser, page, dark):
    browser.open(page.as_uri(), dark=dark)
    assert browser.run(LOW_CONTRAST) == []


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1400, True)])
def test_the_page_of_times_is_self_contained_fits_and_can_be_read(browser, page, width, dark):
    browser.open(page.with_name("times.html").as_uri(), width=width, dark=dark)
    assert browser.console() == []
    assert [url for url in browser.requested() if not url.startswith("data:")] == [
        page.with_name("times.html").as_uri()
    ]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run(WIDER_THAN_THE_WINDOW) == []
    assert browser.run(LOW_CONTRAST) == []


def test_the_checks_can_fail(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<body style='color: #bbb'><p style='width: 900px'>pale</p><img src='other.png'>"
        "<script>console.error('loud')</script>"
    )
    browser.open((tmp_path / "bad.html").as_uri(), width=400)
    assert any("loud" in entry["message"] for entry in browser.console())
    assert (tmp_path / "other.png").as_uri() in browser.requested()
    assert browser.run(WIDER_THAN_THE_WINDOW)
    assert browser.run(LOW_CONTRAST)
    assert browser.run(UNNAMED_IMAGES) == 1
