"""The terminal tables: 80 columns, every system, no number or name cut."""

import io
import re
from collections.abc import Collection

import numpy as np
import pytest
from rich.console import Console

from expclip_cache.reporting.score_tables import scores_to_terminal
from expclip_cache.reporting.systems import SystemScores, system_scores, under_highest_type
from expclip_cache.reporting.text_table import MOST_ROWS, WIDTH
from expclip_cache.reporting.weakest_class import Place
from score_rows import study_rows

FIVE = ("contrastive", "contrastive-low-lr", "ridge", "long", "averyverylongnamewithoutanyhyphen")
STUDIES = {
    "demo": {"seeds": 5, "test_sets": ("demo-clean", "demo-grey", "demo-occluded", "demo-drawing", "demo-clips")},
    "many": {
        "backbones": ("b32", "b16", "l14"),
        "teachers": ("t", "u"),
        "heads": FIVE,
        "prompts": ("reference", "own"),
    },
    "long names": {
        "backbones": ("a-backbone-with-a-name-of-its-own", "another-backbone-with-a-name-that-goes-on-and-on"),
        "teachers": ("a-teacher-with-a-name-of-its-own", "x" * 90),
        "heads": ("a_head_with_a_name_of_its_own", "y" * 85),
        "test_sets": ("a-test-set-with-a-name-of-its-own", "z" * 70),
    },
    "one set": {"test_sets": ("raf-db",), "types": (0,), "seeds": 1},
    "paper": {
        "backbones": ("b32", "b16", "l14"),
        "types": (1, 2, 3, 4, 5),
        "test_sets": [f"set-{k}" for k in range(16)],
    },
}


def shown(scores: list[SystemScores], width: int = WIDTH, drawn: Collection[str] = ()) -> str:
    console = Console(width=width, file=io.StringIO())
    recalls = {
        Place(row.test_set, row.prompt_type, row.system): {"anger": row.uar, "a class with a long name": row.war}
        for row in scores
    }
    console.print(scores_to_terminal(scores, recalls, drawn))
    return console.file.getvalue()


def cells_of(scores: list[SystemScores]) -> list[str]:
    return sorted(f"{row.uar:.1f} ±{row.uar_std:.1f}" if row.seeds > 1 else f"{row.uar:.1f}" for row in scores)


@pytest.mark.parametrize("name", STUDIES)
def test_the_table_is_within_80_columns_and_cuts_nothing(name):
    scores = system_scores(study_rows(**STUDIES[name]))
    text = shown(scores)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    # A wider console changes titles only: no cell is narrower than its content.
    wide = [line.rstrip() for line in shown(scores, 300).splitlines() if not line.startswith(("backbone", "plain"))]
    if name != "long names":
        assert set(wide) <= {line.rstrip() for line in text.splitlines()}
    squeezed = re.sub(r"\s", "", text)
    for row in under_highest_type(scores):
        assert row.uar_std == 0 or f"{row.uar:.1f}±{row.uar_std:.1f}" in squeezed


def test_the_demo_shows_both_heads_beside_plain_clip():
    scores = system_scores(study_rows(**STUDIES["demo"]))
    lines = [re.split(r"\s{2,}", line.strip()) for line in shown(scores).splitlines()]
    header = next(line for line in lines if "ridge" in line)
    assert header == ["test set", "prompts", "items", "CLIP", "contrastive", "ridge"]
    first, second = (next(k for k, line in enumerate(lines) if line[0] == name) for name in ("demo-grey", "mean"))
    plain, contrastive, ridge = (
        next(row for row in scores if (row.test_set, row.prompt_type, row.head) == ("demo-grey", 2, head))
        for head in ("", "contrastive", "ridge")
    )
    assert lines[first] == [
        "demo-grey",
        "type 2",
        "1400",
        f"{plain.uar:.1f}",
        f"{contrastive.uar:.1f} ±{contrastive.uar_std:.1f}",
        f"{ridge.uar:.1f}",
    ]
    means = [
        np.mean([row.uar for row in scores if (row.prompt_type, row.head) == (kind, head)])
        for kind in (2, 5)
        for head in ("", "contrastive", "ridge")
    ]
    assert lines[second] == ["mean", "type 2", *(f"{value:.1f}" for value in means[:3])]
    assert lines[second + 1] == ["type 5", *(f"{value:.1f}" for value in means[3:])]
    assert "1399 (+1)" in shown(scores)


def test_every_score_of_a_study_is_shown_once():
    scores = system_scores(study_rows(heads=("contrastive", "a", "b", "c", "ridge"), types=(2, 5)))
    text = shown(scores)
    found = re.findall(r"\d+\.\d ±\d+\.\d", text)
    assert sorted(found) == [cell for cell in cells_of(scores) if "±" in cell]
    assert "continued" in text
    assert "highest prompt type" not in text


def test_sections_are_titled_by_what_there_are_several_of():
    assert "backbone" not in shown(system_scores(study_rows()))
    text = shown(system_scores(study_rows(backbones=("b32", "b16"), test_sets=("raf-db",))))
    titles = [line.strip() for line in text.splitlines() if line.startswith("backbone")]
    assert titles == ["backbone b32", "backbone b16"]
    text = shown(system_scores(study_rows(teachers=("t", "u"), prompts=("reference", "own"), test_sets=("raf-db",))))
    for title in ("teacher t, prompt set reference", "teacher u, prompt set own"):
        assert title in text


def test_a_backbone_without_heads_is_shown():
    rows = study_rows(backbones=("b32", "b16"))
    text = shown(system_scores([row for row in rows if row.backbone == "b32" or not row.head]))
    plain = [row for row in rows if row.backbone == "b16" and not row.head]
    assert all(f"{row.uar:.1f}" in text[text.index("backbone b16") :] for row in plain)


def test_a_large_study_shows_the_highest_type_and_says_so():
    scores = system_scores(study_rows(**STUDIES["paper"]))
    text = shown(scores)
    assert sorted(re.findall(r"\d+\.\d ±\d+\.\d", text)) == [
        cell for cell in cells_of(under_highest_type(scores)) if "±" in cell
    ]
    assert "type 5" in text
    assert "type 4" not in text
    assert "report/systems.csv has the others" in text
    assert len(text.splitlines()) < MOST_ROWS + 30


def test_scores_of_100_percent_fit():
    text = shown(system_scores(study_rows(low=99.99)))
    assert "100.0 ±0.0" in text


def test_drawn_faces_are_named_as_such():
    names = STUDIES["demo"]["test_sets"]
    scores = system_scores(study_rows(**STUDIES["demo"]))
    squeezed = " ".join(shown(scores, drawn=names).split())
    assert "The faces of all test sets are drawn: their scores show that the method works, not how well" in squeezed
    assert "The faces of demo-clean, demo-grey are drawn" in " ".join(shown(scores, drawn=names[:2]).split())
    assert "drawn" not in shown(scores)


def test_the_weakest_class_of_two_prompt_sets_says_which():
    text = " ".join(shown(system_scores(study_rows(heads=("ridge",), prompts=("reference", "own")))).split())
    named = re.findall(r"(?:plain CLIP|ridge) / (?:reference|own)(?= an?)", text.partition("Weakest class")[2])
    assert sorted(named) == [
        f"{system} / {name}" for system in ("plain CLIP", "ridge") for name in ("own", "reference")
    ]
