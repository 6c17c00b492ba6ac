"""The report page from result files: its content, its escaping, and equal bytes for equal results."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import FinishedBar
from expclip_cache.base.stage_times import StageTime
from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.page.html import render_page
from expclip_cache.reporting.page.reading import read_page
from sample_results import inputs_of, write_results

PUBLISHED = Comparison(
    test_set="raf-db",
    part="whole",
    prompt_type=2,
    head="contrastive",
    backbone="B/32",
    n=3068,
    published_n=3068,
    clip=Pair(34.9, 30.1),
    expclip=Pair(41.5, 50.2),
    paper_clip=Pair(34.97, 30.05),
    paper_expclip=Pair(39.56, 42.14),
    log=Pair(42.00, 51.27),
    later=Pair(62.9, None),
)
TIMES = [
    StageTime("encode-images@demo-clean", 130.2, "2026-01-02T03:04:05+00:00", "x86_64, 2 cores",
              (FinishedBar("features on cpu", 1400, "image", 129.0),)),
    StageTime("score@demo-clean", 0.421, "2026-01-02T03:05:05+00:00", "x86_64, 2 cores", ()),
]  # fmt: skip


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


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_results(tmp_path)


def html_of(settings, roots=(), compared=()) -> str:
    return render_page(read_page(inputs_of(settings, dict(roots)), compared, TIMES)).decode()


def test_equal_results_give_equal_bytes(results):
    assert html_of(results) == html_of(results)


def test_heading_levels_have_no_gaps_and_links_have_targets(results):
    outline = Outline(html_of(results))
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids)
    assert {f"#{name}" for name in outline.ids} >= set(outline.references)


def test_names_with_markup_are_escaped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = write_results(tmp_path, path="{name}/<script>alert('{item}')</script>\udcff&.png")
    html = html_of(settings)
    Outline(html)
    assert "<script" not in html
    assert "&lt;script&gt;alert(" in html
    assert "\\xff&amp;.png" in html
    assert "fear/&lt;b&gt;bold&lt;/b&gt;.png" in html
    assert "is truncated &amp; bad" in html


def test_available_images_are_embedded_and_missing_ones_are_named(results, tmp_path):
    page = read_page(inputs_of(results), (), TIMES)
    first, second = page.sets[0].fixed[:2]
    (tmp_path / "images" / first.path).parent.mkdir(parents=True)
    Image.new("RGB", (300, 200), "red").save(tmp_path / "images" / first.path)
    outline = Outline(html := html_of(results, {page.sets[0].name: tmp_path / "images"}))
    assert [image["title"] for image in outline.images] == [first.path]
    assert outline.images[0]["src"].startswith("data:image/jpeg;base64,")
    assert outline.images[0]["alt"] == f"A face labelled {first.truth}"
    assert f'<div class="missing">{second.path}</div>' in html


def test_a_clip_shows_its_middle_frame(results, tmp_path):
    page = read_page(inputs_of(results), (), TIMES)
    clip = tmp_path / "clips" / page.sets[4].fixed[0].path
    clip.mkdir(parents=True)
    for number, colour in enumerate(["red", "lime", "blue"]):
        Image.new("RGB", (40, 40), colour).save(clip / f"{number}.png")
    html = html_of(results, {"demo-clips": tmp_path / "clips"})
    (tmp_path / "clips").rename(tmp_path / "one")
    for number in (0, 2):
        Image.new("RGB", (40, 40), "black").save(tmp_path / "one" / page.sets[4].fixed[0].path / f"{number}.png")
    assert html_of(results, {"demo-clips": tmp_path / "one"}) == html


def test_published_results_are_shown_beside_ours(results):
    assert "<h3>Published results" not in html_of(results)
    html = html_of(results, compared=[PUBLISHED])
    table = html[html.index("<h3>Published results") :]
    for number in ("3,068", "34.9", "35.0", "41.5", "39.6", "42.0", "51.3", "62.9"):
        assert number in table


def test_folds_are_shown_singly_averaged_and_pooled(results):
    parts = ("fold", "fold mean", "pooled")
    folds = [replace(PUBLISHED, test_set=f"dfew-{part[:4]}", part=part, paper_clip=None, paper_expclip=None, log=None,
                     later=None, backbone=None) for part in parts]  # fmt: skip
    html = html_of(results, compared=[*folds, replace(folds[0], test_set="other", part="whole")])
    table = html[html.index("<h3>Folds<") : html.index('id="set-demo-clean"')]
    for part in parts:
        assert f"{part}, prompts 2" in table
    assert "No published results for this CLIP" in table
    assert "other" not in re.findall(r'<th scope="row">([^<]+)', table)


def test_settings_and_fingerprints_are_shown(results):
    html = html_of(results)
    for word in ("0123456789abcdef" * 4, "weight_decay", "describe the detailed facial actions", "source: data/demo-c"):
        assert word in html


def test_times_are_shown_if_the_stages_ran_here(results):
    html = html_of(results)
    table = html[html.index("<h3>Times</h3>") :]
    for words in ("x86_64, 2 cores", "encode-images@demo-clean", "2 min 10 s", "1,400 images in 2 min 09 s", "0.42 s"):
        assert words in table
    without = render_page(read_page(inputs_of(results), (), [])).decode()
    assert "No earlier stage ran on this machine" in without


@pytest.mark.parametrize("file", ["score/demo-grey/details.json", "train/loss.csv"])
def test_a_missing_result_file_is_named(results, tmp_path, file):
    (tmp_path / "results" / file).unlink()
    with pytest.raises(DataError, match=rf"{re.escape(file)}.*dvc repro"):
        html_of(results)
