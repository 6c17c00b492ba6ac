"""The page from result files: what stands on it, what is escaped, and that equal results give equal bytes."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import Work
from expclip_cache.base.stage_times import StageTime
from expclip_cache.reporting.comparison import Comparison, Pair
from expclip_cache.reporting.page.content import read_page
from expclip_cache.reporting.page.html import render_page
from sample_results import inputs_of, write_results

PUBLISHED = Comparison(
    "raf-db", "whole", 2, "contrastive", "B/32", 3068, 3068, Pair(34.9, 30.1), Pair(41.5, 50.2),
    Pair(34.97, 30.05), Pair(39.56, 42.14), Pair(42.00, 51.27), Pair(62.9, None),
)  # fmt: skip
TIMES = [
    StageTime("encode-images@demo-clean", 130.2, "2026-01-02T03:04:05+00:00", "x86_64, 2 cores",
              (Work("features on cpu", 1400, "image", 129.0),)),
    StageTime("score@demo-clean", 0.421, "2026-01-02T03:05:05+00:00", "x86_64, 2 cores", ()),
]  # fmt: skip


class Outline(HTMLParser):
    """Tags in order, headings' levels, ids and what is linked or fetched."""

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


def html_of(params, roots=(), compared=()) -> str:
    return render_page(read_page(inputs_of(params, dict(roots)), compared, TIMES)).decode()


def test_equal_results_give_equal_bytes(results):
    assert html_of(results) == html_of(results)


def test_headings_descend_by_one_and_links_lead_somewhere(results):
    outline = Outline(html_of(results))
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids)
    assert {f"#{name}" for name in outline.ids} >= set(outline.references)


def test_names_with_markup_are_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = write_results(tmp_path, path="{name}/<script>alert('{item}')</script>\udcff&.png")
    html = html_of(params)
    Outline(html)
    assert "<script" not in html
    assert "&lt;script&gt;alert(" in html
    assert "\\xff&amp;.png" in html
    assert "fear/&lt;b&gt;bold&lt;/b&gt;.png" in html
    assert "is truncated &amp; bad" in html


def test_pictures_are_embedded_where_they_are_and_named_where_not(results, tmp_path):
    page = read_page(inputs_of(results), (), TIMES)
    first, second = page.sets[0].fixed[:2]
    (tmp_path / "pictures" / first.path).parent.mkdir(parents=True)
    Image.new("RGB", (300, 200), "red").save(tmp_path / "pictures" / first.path)
    outline = Outline(html := html_of(results, {page.sets[0].name: tmp_path / "pictures"}))
    assert [image["title"] for image in outline.images] == [first.path]
    assert outline.images[0]["src"].startswith("data:image/jpeg;base64,")
    assert outline.images[0]["alt"] == f"A face labelled {first.truth}"
    assert f'<div class="absent">{second.path}</div>' in html


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


def test_published_results_stand_beside_ours(results):
    assert "Beside the published results" not in html_of(results)
    html = html_of(results, compared=[PUBLISHED])
    table = html[html.index("Beside the published results") :]
    for number in ("3,068", "34.9", "35.0", "41.5", "39.6", "42.0", "51.3", "62.9"):
        assert number in table


def test_folds_are_shown_one_by_one_together_and_pooled(results):
    parts = ("fold", "fold mean", "pooled")
    folds = [replace(PUBLISHED, test_set=f"dfew-{part[:4]}", part=part, paper_clip=None, paper_expclip=None, log=None,
                     later=None, backbone=None) for part in parts]  # fmt: skip
    html = html_of(results, compared=[*folds, replace(folds[0], test_set="other", part="whole")])
    table = html[html.index("<h3>Folds together") : html.index('id="set-demo-clean"')]
    for part in parts:
        assert f"{part}, prompts 2" in table
    assert "Nothing is published for this CLIP" in table
    assert "other" not in re.findall(r'<th scope="row">([^<]+)', table)


def test_the_settings_and_fingerprints_stand_there(results):
    html = html_of(results)
    for word in ("0123456789abcdef" * 4, "weight_decay", "describe the detailed facial actions", "source: data/demo-c"):
        assert word in html


def test_times_stand_there_where_the_stages_ran(results):
    html = html_of(results)
    table = html[html.index("<h3>Times</h3>") :]
    for words in ("x86_64, 2 cores", "encode-images@demo-clean", "2 min 10 s", "1,400 images in 2 min 09 s", "0.42 s"):
        assert words in table
    without = render_page(read_page(inputs_of(results), (), [])).decode()
    assert "No stage before this page ran on this machine" in without


def test_a_missing_result_names_the_file(results, tmp_path):
    (tmp_path / "results/score/demo-grey/details.json").unlink()
    with pytest.raises(DataError, match=r"demo-grey/details\.json.*dvc repro"):
        html_of(results)
