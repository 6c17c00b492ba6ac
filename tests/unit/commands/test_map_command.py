"""`expclip-cache map` on caches of one's own and on a study: every mark is drawn once, and refusals say what to do."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.heads.head_file import write_head
from expclip_cache.maps import MapInputs, MapSettings, map_features
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.scoring.zero_shot import score
from hidden_module import hide_module
from labelled_caches import write_labelled, write_prompts
from sample_results import study, write_results

CLASSES = ("happiness", "sadness", "fear")
N, SKIPPED = 40, 7
RANDOM = np.random.default_rng(1)
LABELS = RANDOM.integers(0, 3, N)
IMAGES = RANDOM.standard_normal((3, 6))[LABELS] + RANDOM.standard_normal((N, 6))
TEXTS = list(dict.fromkeys(prompt.text for prompt in prompt_table("reference", (1, 2), CLASSES)))
EMBEDDINGS = RANDOM.standard_normal((len(TEXTS), 6))
HEAD = RANDOM.standard_normal((9, 6))
SVG = "{http://www.w3.org/2000/svg}"


def write_faces(folder: Path, rows: int = N, classes: tuple[str, ...] = CLASSES, **more) -> Path:
    paths = [f"<b>{row}</b>&\udcff.png" for row in range(rows)]
    write_labelled(folder, IMAGES[:rows].astype("f4"), LABELS[:rows], paths, classes, **more)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A test set of 40 images, one of them skipped, prompts of types 1 and 2, and a head."""
    monkeypatch.chdir(tmp_path)
    write_faces(Path("faces"), skipped=(SKIPPED,))
    write_prompts(Path("prompts"), EMBEDDINGS.astype("f4"), TEXTS)
    write_head(Path("head.safetensors"), HEAD, {})
    return tmp_path


def run(*arguments, prompts="prompts"):
    return CliRunner().invoke(app, ["map", *map(str, arguments), *(["--prompt-features", prompts] if prompts else [])])


def rows_of(file: str | Path) -> list[dict[str, str]]:
    text = Path(file).read_bytes().decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(text)))


def marks(element: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [item for item in element.iter() if kind in item.get("class", "").split()]


def titles(element: ElementTree.Element, kind: str) -> list[str]:
    return [next(iter(mark)).text for mark in marks(element, kind)]


def test_every_item_and_prompt_is_drawn_once_in_every_panel(place):
    result = run("faces", "--head", "head.safetensors")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (place / "maps").iterdir()} == {
        *("index.html", "numbers.csv", "map-faces.svg", "map-faces.csv")
    }
    groups = ElementTree.fromstring((place / "maps/map-faces.svg").read_text()).findall(f"{SVG}g")
    assert len(groups) == 2
    good = [row for row in range(N) if row != SKIPPED]
    for group in groups:
        assert len(marks(group, "item")) == len(good)
        drawn = titles(group, "item")
        assert sorted(int(re.match(r"<b>(\d+)</b>&\\udcff\.png: ", title)[1]) for title in drawn) == good
        assert [title.removeprefix("prompts of ") for title in titles(group, "prompt")] == list(CLASSES)
        assert [item.text for item in group.iter(f"{SVG}text")] == list(CLASSES)
    places = rows_of("maps/map-faces.csv")
    for head in ("", "head"):
        own = [row for row in places if row["head"] == head]
        items = [row for row in own if row["kind"] == "item"]
        assert [int(row["row"]) for row in items] == good
        assert [row["path"] for row in items] == [f"<b>{row}</b>&\udcff.png" for row in good]
        assert [row["truth"] for row in items] == [CLASSES[LABELS[row]] for row in good]
        assert [row["truth"] for row in own if row["kind"] == "prompt"] == list(CLASSES)
    page = (place / "maps/index.html").read_text()
    assert page.count('class="class-0 item"') == 2 * sum(LABELS[good] == 0)
    assert "<b>" not in page
    assert "39 items, 1 skipped; prompts: type 2." in page
    assert "../index.html" not in page


def test_its_scores_and_predictions_are_those_of_score(place):
    run("faces", "--head", "head.safetensors")
    (expected,) = score("faces", "prompts", {"head": Path("head.safetensors")}, PromptSettings(types=(2,)))
    plain, head = rows_of("maps/numbers.csv")
    assert (plain["head"], head["head"], plain["items"], plain["drawn"]) == ("", "head", "39", "39")
    assert float(plain["uar"]) == pytest.approx(expected.clip.uar, abs=1e-3)
    assert float(head["uar"]) == pytest.approx(expected.heads["head"].uar, abs=1e-3)
    items = [row for row in rows_of("maps/map-faces.csv") if row["kind"] == "item" and row["head"] == "head"]
    assert np.mean([row["truth"] == row["predicted"] for row in items]) == pytest.approx(
        expected.heads["head"].war / 100
    )


def test_uar_after_centring_is_that_of_the_nearest_centred_prompt(place):
    run("faces", "--head", "head.safetensors", "--type", "1")
    good = np.arange(N) != SKIPPED
    texts = EMBEDDINGS[[TEXTS.index(f"{name}.") for name in CLASSES]]

    def toward(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    for row, project in zip(rows_of("maps/numbers.csv"), (np.eye(6), HEAD), strict=True):
        x, t = toward(IMAGES[good] @ project.T), toward(texts @ project.T)
        answers = (toward(x - x.mean(axis=0)) @ toward(t - t.mean(axis=0)).T).argmax(axis=1)
        recalls = [np.mean(answers[LABELS[good] == label] == label) for label in range(3)]
        assert float(row["uar_centred"]) == pytest.approx(100 * np.mean(recalls), abs=1e-3)


def test_the_same_seed_gives_the_same_files_and_a_limit_is_kept(place):
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert run("faces", "--items", 12, "--seed", seed, "--out", folder).exit_code == 0
    one, again, other = (
        {path.name: path.read_bytes() for path in Path(folder).iterdir()} for folder in ("one", "again", "other")
    )
    assert one == again
    assert one["map-faces.csv"] != other["map-faces.csv"]
    items = [row for row in rows_of("one/map-faces.csv") if row["kind"] == "item"]
    assert len(items) == 12
    assert {row["truth"] for row in items} == set(CLASSES)
    assert "12 of 39 items" in (place / "one/index.html").read_text()


def test_several_test_sets_share_a_page_and_have_files_of_their_own(place):
    write_faces(Path("more/faces"))
    result = run("faces", "more/faces")
    assert result.exit_code == 0, result.output
    names = {path.name for path in Path("maps").iterdir()}
    assert {"map-faces.svg", "map-more-faces.svg", "map-more-faces.csv"} <= names
    page = (place / "maps/index.html").read_text()
    assert [f'href="#map-{number}"' in page for number in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize("rows", [3, 5])
def test_a_set_of_few_items_has_a_map(place, rows):
    write_faces(Path("few"), rows)
    result = run("few", "--head", "head.safetensors")
    assert result.exit_code == 0, result.output
    assert len(rows_of("maps/map-few.csv")) == 2 * (rows + 3)
    assert "nan" not in Path("maps/map-few.svg").read_text()


def test_one_class_and_classes_without_items_have_a_map(place):
    write_labelled(Path("one"), IMAGES[:9].astype("f4"), np.zeros(9), [f"{k}.png" for k in range(9)], CLASSES[:1])
    write_labelled(Path("gap"), IMAGES[:9].astype("f4"), np.full(9, 2), [f"{k}.png" for k in range(9)], CLASSES)
    result = run("one", "gap")
    assert result.exit_code == 0, result.output
    assert len(rows_of("maps/map-one.csv")) == 9 + 1
    assert len(rows_of("maps/map-gap.csv")) == 9 + 3
    assert Path("maps/index.html").read_text().count("(no items)") == 2


def test_classes_of_a_prompt_file_may_have_any_name(place):
    names = [f"<class {number}> & 'more' than that, at some length" for number in range(12)]
    YAML().dump({"classes": {name: [f"text {name}"] for name in names}}, Path("mine.yaml"))
    write_prompts(Path("own"), np.random.default_rng(0).normal(size=(12, 6)).astype("f4"), [f"text {n}" for n in names])
    labels = np.arange(N) % 12
    write_labelled(Path("many"), IMAGES.astype("f4"), labels, [f"{k}.png" for k in range(N)], names)
    result = run("many", "--set", "mine.yaml", prompts="own")
    assert result.exit_code == 0, result.output
    root = ElementTree.fromstring(Path("maps/map-many.svg").read_text())
    assert [title.removeprefix("prompts of ") for title in titles(root, "prompt")] == names
    assert len({(mark.get("class"), mark.tag, mark.get("d", "").count("L")) for mark in marks(root, "prompt")}) == 12
    assert "<class" not in Path("maps/index.html").read_text()
    refused = run("many", "--set", "mine.yaml", "--type", 2, prompts="own")
    assert "--type belongs to the sets reference and clean" in refused.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "nothing"),
        (["faces", "--type", "5"], "no type is complete"),
        (["faces", "--type", "9"], "--type"),
        (["faces", "--items", "2"], "--items"),
        (["faces", "--head", "wide.safetensors"], "takes features of width 8"),
        (["unlabelled"], "has rows without a label"),
        (["two"], "two: expected at least 3 items with features, found 2"),
        (["same"], "same: expected different features, found 12 that are the same"),
        ([], "expected caches of labelled test sets beside it, found none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(place, arguments, words):
    write_head(Path("wide.safetensors"), np.ones((9, 8)), {})
    paths = [f"{row}.png" for row in range(N)]
    write_labelled(Path("unlabelled"), IMAGES.astype("f4"), np.full(N, -1), paths, CLASSES)
    write_faces(Path("two"), 3, skipped=(0,))
    write_labelled(Path("same"), np.ones((11, 6), "f4"), np.zeros(11), paths[:11], CLASSES[:1])
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert words in " ".join(result.output.split())
    assert not Path("maps").exists()


def test_without_scikit_learn_it_says_what_to_install(place, monkeypatch):
    hide_module(monkeypatch, "sklearn")
    result = run("faces")
    assert result.exit_code == 1
    assert "Install it: pip install 'expclip-cache[maps]'" in result.output


def test_from_python_a_map_is_one_call(place):
    inputs = MapInputs(
        "faces", FeatureCache("faces"), FeatureCache("prompts"), {"mine": Path("head.safetensors")}, PromptSettings()
    )
    found = map_features(inputs, MapSettings(items=20), SilentReporter())
    assert [panel.head for panel in found.panels] == ["", "mine"]
    assert found.panels[1].items.shape == (20, 2)
    assert found.panels[1].prompts.shape == (3, 2)
    assert found.scored == 39


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study of two backbones, teachers and test sets."""
    folder = tmp_path_factory.mktemp("study")
    settings = study(backbones=("b32", "b16"), teachers=("xl", "xxl"), test_sets=("clean", "grey"), seeds=2)
    write_results(folder, settings, items=42)
    YAML().dump(settings.model_dump(mode="json", exclude_unset=True), folder / "params.yaml")
    return folder


def test_of_a_study_every_backbone_and_the_first_seed_of_every_head_is_drawn(results, monkeypatch):
    monkeypatch.chdir(results)
    result = run("grey", prompts="")
    assert result.exit_code == 0, result.output
    numbers = rows_of("report/maps/numbers.csv")
    heads = ["contrastive, xl, seed 1", "ridge, xl", "contrastive, xxl, seed 1", "ridge, xxl"]
    assert [row["test_set"] for row in numbers] == ["grey, b32"] * 5 + ["grey, b16"] * 5
    assert [row["head"] for row in numbers] == 2 * ["", *heads]
    assert {row["prompt_type"] for row in numbers} == {"5"}
    assert '<a href="../index.html">' in Path("report/maps/index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["faces"], "names 'faces', which is not in score.datasets: clean, grey"),
        (["grey", "--head", "head.safetensors"], "--head needs --prompt-features"),
    ],
)
def test_what_a_study_does_not_have_is_refused(results, monkeypatch, arguments, words):
    monkeypatch.chdir(results)
    result = run(*arguments, prompts="")
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())


def test_outside_a_study_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("faces", prompts="")
    assert result.exit_code == 1
    assert "give caches and --prompt-features" in " ".join(result.output.split())
