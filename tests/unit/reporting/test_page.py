"""The report page from result files: its content, its escaping, and equal bytes for equal results."""

import csv
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import FinishedBar
from expclip_cache.base.stage_times import StageTime
from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.page import reading
from expclip_cache.reporting.page.html import render_page, render_times
from expclip_cache.reporting.page.reading import read_page
from expclip_cache.settings.paths import STATISTICS
from expclip_cache.settings.settings import Settings
from expclip_cache.statistics.bootstrap import Interval, ScoreIntervals
from paper_rows import other_rows
from sample_results import inputs_of, study, write_results

PUBLISHED = Comparison(
    test_set="raf-db",
    part="whole",
    backbone="demo-clip",
    teacher="demo-llm",
    head="contrastive",
    prompts="reference",
    prompt_type=2,
    published_as="CLIP B/32",
    n=3068,
    published_n=3068,
    clip=Pair(34.9, 30.1),
    clip_intervals=ScoreIntervals(Interval(33.1, 36.7), Interval(28.5, 31.7)),
    expclip=Pair(41.5, 50.2),
    expclip_intervals=ScoreIntervals(Interval(39.6, 43.4), Interval(48.4, 52.0)),
    paper_clip=Pair(34.97, 30.05),
    paper_expclip=Pair(39.56, 42.14),
    log=Pair(42.00, 51.27),
    log_intervals=ScoreIntervals(Interval(39.9, 44.2), Interval(49.5, 53.0)),
    later=Pair(62.9, None),
)
TIMES = [
    StageTime("images@demo-clip", 130.2, "2026-01-02T03:04:05+00:00", "x86_64, 2 cores",
              (FinishedBar("features on cpu", 1400, "image", 129.0),)),
    StageTime("scores", 0.421, "2026-01-02T03:05:05+00:00", "x86_64, 2 cores", ()),
]  # fmt: skip


STUDY = study(
    backbones=("b32", "b16"), teachers=("t5", "flan"), prompts=("reference", "clean"), test_sets=("demo-clean", "two"),
    seeds=2,
)  # fmt: skip


class Outline(HTMLParser):
    """Heading levels in order, ids, images, and every address that is linked or loaded."""

    def __init__(self, html: str):
        super().__init__()
        self.levels, self.ids, self.references, self.images = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.references += [value for key, value in attrs.items() if key in ("src", "href", "srcset", "data")]
        if tag == "img":
            self.images.append(attrs)
        assert tag not in ("script", "link", "iframe", "object")


def fresh_copy(folder: Path, results: Path, monkeypatch) -> None:
    shutil.copytree(results / "results", folder / "results")
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def demo_results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_results(folder, study())
    return folder


@pytest.fixture(scope="module")
def study_results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_results(folder, STUDY, items=70)
    return folder


@pytest.fixture
def results(demo_results, tmp_path, monkeypatch) -> Settings:
    """The demo's results in the current folder."""
    fresh_copy(tmp_path, demo_results, monkeypatch)
    return study()


@pytest.fixture
def larger(study_results, tmp_path, monkeypatch) -> Settings:
    """The results of a study with two of everything in the current folder."""
    fresh_copy(tmp_path, study_results, monkeypatch)
    return STUDY


def html_of(settings, roots=(), compared=()) -> str:
    return render_page(read_page(inputs_of(settings, dict(roots)), compared)).decode()


def view_of(html: str, number: int) -> str:
    """The part of the page that one view shows."""
    start = html.index(f'<section id="view-{number}" class="view">')
    end = html.find(f'<section id="view-{number + 1}" class="view">', start)
    return html[start : end if end > 0 else html.index('<section id="inputs">')]


def test_equal_results_give_equal_bytes(results):
    assert html_of(results) == html_of(results)


def test_each_section_shows_the_calibration_of_its_head(results):
    html = html_of(results)
    measured = {
        (row["test_set"], row["head"]): row
        for row in csv.DictReader((STATISTICS / "calibration.csv").read_text().splitlines())
        if row["prompt_type"] == "5"
    }
    for number, head in ((1, "contrastive"), (2, "ridge")):
        view = view_of(html, number)
        assert view.count("Accuracy by confidence in percent.") == len(results.score.datasets)
        for test_set in results.score.datasets:
            start = view.index(f'<section id="view-{number}-{test_set}"')
            section = view[start : view.index("</section>", start)]
            clip, expclip = measured[test_set, ""], measured[test_set, head]
            errors = [float(row["ece"]) for row in (clip, expclip)]
            halves = [float(row["accuracy_50"]) for row in (clip, expclip)]
            assert f"{errors[0]:.1f} points with CLIP and {errors[1]:.1f} with Exp-CLIP" in section
            assert f"half of the answers, {halves[0]:.1f} and {halves[1]:.1f} percent are right" in section


def test_the_calibration_of_another_study_is_refused(results):
    lines = (STATISTICS / "calibration.csv").read_text().splitlines(keepends=True)
    (STATISTICS / "calibration.csv").write_text("".join(line for line in lines if not line.startswith("demo-grey,")))
    with pytest.raises(DataError, match="results/statistics: expected demo-grey with"):
        html_of(results)


def test_heading_levels_have_no_gaps_and_links_have_targets(results):
    outline = Outline(html_of(results))
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids)
    assert {*(f"#{name}" for name in outline.ids), "times.html", "maps/index.html"} >= set(outline.references)


def test_names_with_markup_are_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = write_results(
        tmp_path, study(test_sets=("demo-clean",)), path="{name}/<script>alert('{item}')</script>\udcff&.png"
    )
    html = html_of(settings)
    Outline(html)
    assert "<script" not in html
    assert "&lt;script&gt;alert(" in html
    assert "\\xff&amp;.png" in html
    assert "fear/&lt;b&gt;bold&lt;/b&gt;.png" in html
    assert "is truncated &amp; bad" in html


def test_available_images_are_embedded_and_missing_ones_are_named(results, tmp_path):
    page = read_page(inputs_of(results), ())
    view = page.views[0]
    first = view.sets[0].fixed[0]
    second = next(face for face in view.sets[0].broken if face.path != first.path)
    shown = sum(face.path == first.path for one in page.views for face in (*one.sets[0].fixed, *one.sets[0].broken))
    (tmp_path / "images" / first.path).parent.mkdir(parents=True)
    Image.new("RGB", (300, 200), "red").save(tmp_path / "images" / first.path)
    outline = Outline(html := html_of(results, {view.rows[0].test_set: tmp_path / "images"}))
    assert [image["title"] for image in outline.images] == [first.path] * shown
    assert outline.images[0]["src"].startswith("data:image/jpeg;base64,")
    assert outline.images[0]["alt"] == f"A face labelled {first.truth}"
    assert f'<div class="missing">{second.path}</div>' in html


def test_a_clip_shows_its_middle_frame(results, tmp_path):
    page = read_page(inputs_of(results), ())
    clip = tmp_path / "clips" / page.views[0].sets[4].fixed[0].path
    clip.mkdir(parents=True)
    for number, colour in enumerate(["red", "lime", "blue"]):
        Image.new("RGB", (40, 40), colour).save(clip / f"{number}.png")
    html = html_of(results, {"demo-clips": tmp_path / "clips"})
    (tmp_path / "clips").rename(tmp_path / "one")
    for number in (0, 2):
        Image.new("RGB", (40, 40), "black").save(
            tmp_path / "one" / page.views[0].sets[4].fixed[0].path / f"{number}.png"
        )
    assert html_of(results, {"demo-clips": tmp_path / "one"}) == html


def test_published_results_are_shown_beside_ours(results):
    assert "<h4>Published results" not in html_of(results)
    html = html_of(results, compared=[PUBLISHED])
    assert "<h4>Published results" not in view_of(html, 2)
    table = view_of(html, 1)
    table = table[table.index("<h4>Published results") :]
    for number in ("3,068", "34.9", "35.0", "41.5", "39.6", "42.0", "51.3", "62.9"):
        assert number in table


def test_other_systems_have_a_section_with_their_own_rows_where_the_study_has_them(results):
    page = read_page(inputs_of(results), (), other_rows())
    assert 'id="others"' not in html_of(results)
    assert "#others" not in html_of(results)
    html = render_page(page).decode()
    section = html[html.index('<section id="others">') : html.index('<section id="heads">')]
    assert '<a href="#others">' in html
    farl, ours, blip2 = re.findall(r"<tr><th scope=\"row\">.*?</tr>", section, flags=re.DOTALL)
    assert ("published only" in farl, "published only" in blip2) == (False, True)
    assert blip2.count("–") == 4
    assert (ours.count("covers theirs"), ours.count("misses theirs")) == (4, 4)
    assert "ours: farl-b16" in ours
    assert "About &lt;BLIP2&gt;." in section


def test_folds_are_shown_singly_averaged_and_pooled(results):
    parts = ("fold", "fold mean", "pooled")
    folds = [replace(PUBLISHED, test_set=f"dfew-{part[:4]}", part=part, paper_clip=None, paper_expclip=None, log=None,
                     later=None, published_as=None) for part in parts]  # fmt: skip
    html = html_of(results, compared=[*folds, replace(folds[0], test_set="other", part="whole")])
    table = html[html.index("<h4>Folds<") : html.index('id="view-1-demo-clean"')]
    for part in parts:
        assert f"{part}, type 2" in table
    assert "No published results for this CLIP" in table
    assert "other" not in re.findall(r'<th scope="row">([^<]+)', table)


def test_settings_and_fingerprints_are_shown(results):
    html = html_of(results)
    made = html[html.index("<h2>How it was made") :]
    page = read_page(inputs_of(results), ())
    assert [source.name for source in page.sources] == [
        *results.score.datasets,
        "demo-train (images, demo-clip)",
        "demo-train (targets, demo-llm)",
    ]
    assert len({source.fingerprint for source in page.sources}) == 7
    for source in page.sources:
        assert f"<h4>{source.name}</h4>" in made
        assert source.fingerprint in made
    for word in (
        "weight_decay: 0.0001",
        "describe the detailed facial actions",
        "source: pipeline/expclip_cache/demo/dr",
    ):
        assert word in made
    for section in ("backbones", "teachers", "cache", "prompts", "train", "heads", "score", "datasets"):
        assert f"<h4>{section}</h4>" in made


def test_the_times_of_stages_that_ran_here_have_a_page_of_their_own():
    html = render_times(TIMES).decode()
    for words in ("x86_64, 2 cores", "images@demo-clip", "2 min 10 s", "1,400 images in 2 min 09 s", "0.42 s"):
        assert words in html
    outline = Outline(html)
    assert (outline.levels, outline.references) == ([1], ["index.html"])
    assert "No earlier stage ran on this machine" in render_times([]).decode()


@pytest.mark.parametrize("file", ["scores/demo-clip/demo-grey.json", "heads/details.json", "heads/loss.csv"])
def test_a_missing_result_file_is_named(results, tmp_path, file):
    (tmp_path / "results" / file).unlink()
    with pytest.raises(DataError, match=rf"{re.escape(file)}.*dvc repro"):
        html_of(results)


@pytest.mark.parametrize("file", ["heads/metrics.json", "heads/loss.csv"])
def test_a_damaged_result_file_is_named(results, tmp_path, file):
    (tmp_path / "results" / file).write_text("{oops\n1,2\n")
    with pytest.raises(DataError, match=rf"{re.escape(file)}.*dvc repro -f heads"):
        html_of(results)


def test_every_head_under_every_prompt_set_has_a_view_with_its_own_content(larger):
    page = read_page(inputs_of(larger), ())
    assert len(page.views) == len({view.system for view in page.views}) == 2 * 2 * 2 * 2
    assert [view.system for view in page.views[:3]] == [
        ("b32", "t5", "contrastive", "reference"),
        ("b32", "t5", "ridge", "reference"),
        ("b32", "t5", "contrastive", "clean"),
    ]
    html = render_page(page).decode()
    for number, view in enumerate(page.views, start=1):
        part = view_of(html, number)
        assert f"{view.system.head} head, backbone {view.system.backbone}, teacher {view.system.teacher}" in part
        assert part.count('class="set"') == 2
        assert part.count("<figcaption>CLIP</figcaption>") == 2
        assert ("Contrastive loss, one line for each of 2 seeds" in part) == (view.system.head == "contrastive")
        assert ("<dt>lambda</dt>" in part) == (view.system.head == "ridge")
        for row in view.rows:
            assert f"UAR {row.clip_uar:.1f} → {row.uar:.1f}, WAR {row.clip_war:.1f} → {row.war:.1f}" in part
        assert "Fixed</h6>" in part


def test_one_radio_button_per_view_and_the_first_is_checked(larger):
    html = html_of(larger)
    assert re.findall(r'<input type="radio" name="view" id="show-(\d+)" autocomplete="off"( checked)?>', html) == [
        (str(number), " checked" if number == 1 else "") for number in range(1, 17)
    ]
    for number in range(1, 17):
        assert f"body:has(#show-{number}:checked) .view:not(#view-{number}) {{ display: none; }}" in html
    names = re.findall(r'autocomplete="off"(?: checked)?> (.+?)</label>', html)
    assert len(set(names)) == 16
    assert names[-1] == "ridge / b16 / flan / clean"


def test_one_view_needs_no_choice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = write_results(tmp_path, study(heads={"h": {"kind": "ridge", "choose": "fixed"}}, test_sets=("one",)))
    html = html_of(settings)
    assert "<input" not in html
    assert "display: none; }\n" not in html[: html.index("</style>")].replace(
        "nav, summary, .choice { display: none; }", ""
    )
    assert "with Exp-CLIP</h1>" in html


def test_all_systems_are_side_by_side_whatever_the_view(larger):
    page = read_page(inputs_of(larger), ())
    html = render_page(page).decode()
    table = html[html.index('aria-label="Table of scores"') : html.index('<section id="heads">')]
    rows = re.findall(r"<tr>.*?</tr>", table.partition("</thead>")[2], re.DOTALL)
    assert len(rows) == (2 + 1) * 2 * 2
    assert all(row.count("<td>") == 1 + 2 * (1 + 2 * 2) for row in rows)
    # A test set is named once, beside all its prompts.
    assert [
        html.count(f'rowspan="4">{name}<') for name in (*dict.fromkeys(s.test_set for s in page.scores), "mean")
    ] == [
        1,
        1,
        1,
    ]
    for score in page.scores:
        assert f"{score.uar:.1f}" in table
        assert f"{score.war:.1f}" in table
        assert not score.head or f"{score.gain:+.1f}" in table


def test_beyond_the_limit_views_say_where_their_matrices_are(larger, monkeypatch):
    monkeypatch.setattr(reading, "MAX_SECTIONS", 7)
    html = html_of(larger)
    assert "of the first 3 of 16 views are on this page" in html
    assert [view_of(html, number).count('class="set"') for number in range(1, 17)] == [2] * 3 + [0] * 13
    for number in (4, 16):
        part = view_of(html, number)
        assert f"are in results/scores/{'b32' if number == 4 else 'b16'}, a file for each test set" in part
        assert "UAR of each test set" in part


def test_the_first_view_has_its_matrices_however_many_test_sets_there_are(results, monkeypatch):
    monkeypatch.setattr(reading, "MAX_SECTIONS", 1)
    page = read_page(inputs_of(results), ())
    assert [len(view.sets) for view in page.views] == [5, 0]


def test_an_input_skipped_by_every_backbone_is_listed_once(larger):
    page = read_page(inputs_of(larger), ())
    assert [(item.dataset, item.row) for item in page.skipped] == [("demo-clean", 3)]
