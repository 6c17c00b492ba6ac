"""The terminal tables: 80 columns, every system, no number or name cut."""

import io
import re
from collections.abc import Collection

import pytest
from rich.console import Console

from expclip_cache.reporting.score_tables import scores_to_terminal
from expclip_cache.reporting.text_table import MOST_ROWS, WIDTH
from expclip_cache.reporting.weakest_class import Place
from expclip_cache.scoring.results import ScoreRow
from expclip_cache.statistics.systems import SystemScores, mean_scores, under_highest_type
from score_rows import made_up_statistics, scores_of, study_rows

FIVE = ("contrastive", "contrastive-low-lr", "ridge", "long", "averyverylongnamewithoutanyhyphen")
STUDIES = {
    # Scores near each other: gains of two digits and a minus are wider than the demo's.
    "demo": {
        "seeds": 5,
        "low": 95,
        "test_sets": ("demo-clean", "demo-grey", "demo-occluded", "demo-drawing", "demo-clips"),
    },
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
        "low": 95,
        "test_sets": [f"set-{k}" for k in range(16)],
    },
}


def shown(rows: list[ScoreRow], width: int = WIDTH, drawn: Collection[str] = ()) -> str:
    scores = scores_of(rows)
    console = Console(width=width, file=io.StringIO())
    recalls = {
        Place(row.test_set, row.prompt_type, row.system): {"anger": row.uar, "a class with a long name": row.war}
        for row in scores
    }
    console.print(scores_to_terminal(scores, made_up_statistics(rows), recalls, drawn))
    return console.file.getvalue()


def cells_of(scores: list[SystemScores]) -> list[str]:
    return sorted(f"{row.uar:.1f} ±{row.uar_std:.1f}" if row.seeds > 1 else f"{row.uar:.1f}" for row in scores)


@pytest.mark.parametrize("name", STUDIES)
def test_the_table_is_within_80_columns_and_cuts_nothing(name):
    rows = study_rows(**STUDIES[name])
    scores, text = scores_of(rows), shown(rows)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    # A wider console changes titles only: no cell is narrower than its content.
    wide = [line.rstrip() for line in shown(rows, 300).splitlines() if not line.startswith(("backbone", "plain"))]
    if name != "long names":
        assert set(wide) <= {line.rstrip() for line in text.splitlines()}
    squeezed = re.sub(r"\s", "", text)
    for row in under_highest_type(scores):
        assert row.uar_std == 0 or f"{row.uar:.1f}±{row.uar_std:.1f}" in squeezed


def test_the_demo_shows_both_heads_beside_plain_clip():
    rows = study_rows(**STUDIES["demo"])
    scores, text = scores_of(rows), shown(rows)
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    header = next(line for line in lines if "ridge" in line)
    assert header == ["test set", "prompts", "plain CLIP", "contrastive", "ridge"]
    first, second = (next(k for k, line in enumerate(lines) if line[0] == name) for name in ("demo-grey", "mean"))

    def of(name, kind):
        return [row for row in scores if (row.test_set, row.prompt_type) == (name, kind)]

    def cells(own):
        plain, contrastive, ridge = own
        return [
            [f"{plain.uar:.1f}", f"{contrastive.uar:.1f} ±{contrastive.uar_std:.1f}", f"{ridge.uar:.1f}"],
            [f"[{plain.uar - 1:.1f}, {plain.uar + 1:.1f}]"]
            + [f"{row.gain:+.1f} [{row.gain - 2:.1f}, {row.gain + 2:.1f}]" for row in (contrastive, ridge)],
        ]

    scored, intervals = cells(of("demo-grey", 2))
    assert lines[first : first + 2] == [["demo-grey", "type 2", *scored], ["1400 items", *intervals]]
    scored, intervals = cells(of("demo-grey", 5))
    assert lines[first + 2 : first + 4] == [["type 5", *scored], intervals]
    scored, intervals = cells([row for row in mean_scores(scores, made_up_statistics(rows)) if row.prompt_type == 2])
    assert lines[second : second + 2] == [["mean", "type 2", *scored], intervals]
    assert "1399 items (+1)" in text
    assert "95 % intervals over test items" in text


def test_every_score_of_a_study_is_shown_once():
    rows = study_rows(heads=("contrastive", "a", "b", "c", "ridge"), types=(2, 5))
    scores, text = scores_of(rows), shown(rows)
    found = re.findall(r"\d+\.\d ±\d+\.\d", text)
    means = mean_scores(scores, made_up_statistics(rows))
    assert sorted(found) == [cell for cell in cells_of([*scores, *means]) if "±" in cell]
    assert "continued" in text
    assert "highest prompt type" not in text


def test_sections_are_titled_by_what_there_are_several_of():
    assert "backbone" not in shown(study_rows())
    text = shown(study_rows(backbones=("b32", "b16"), test_sets=("raf-db",), low=95))
    titles = [line.strip() for line in text.splitlines() if line.startswith("backbone")]
    assert titles == ["backbone b32", "backbone b16"]
    text = shown(study_rows(teachers=("t", "u"), prompts=("reference", "own"), test_sets=("raf-db",), low=95))
    for title in ("teacher t, prompt set reference", "teacher u, prompt set own"):
        assert title in text


def test_a_backbone_without_heads_is_shown():
    rows = study_rows(backbones=("b32", "b16"))
    text = shown([row for row in rows if row.backbone == "b32" or not row.head])
    plain = [row for row in rows if row.backbone == "b16" and not row.head]
    assert all(f"{row.uar:.1f}" in text[text.index("backbone b16") :] for row in plain)


def test_a_large_study_shows_the_highest_type_and_says_so():
    rows = study_rows(**STUDIES["paper"])
    scores, text = scores_of(rows), shown(rows)
    every = [*scores, *mean_scores(scores, made_up_statistics(rows))]
    assert sorted(re.findall(r"\d+\.\d ±\d+\.\d", text)) == [
        cell for cell in cells_of(under_highest_type(every)) if "±" in cell
    ]
    assert "type 5" in text
    assert "type 4" not in text
    assert "report/systems.csv has the others" in text
    assert len(text.splitlines()) < 2 * MOST_ROWS + 40


def test_scores_of_100_percent_fit():
    text = shown(study_rows(low=99.99))
    assert "100.0 ±0.0" in text


def test_drawn_faces_are_named_as_such():
    names = STUDIES["demo"]["test_sets"]
    rows = study_rows(**STUDIES["demo"])
    squeezed = " ".join(shown(rows, drawn=names).split())
    assert "The faces of all test sets are drawn: their scores show that the method works, not how well" in squeezed
    assert "The faces of demo-clean, demo-grey are drawn" in " ".join(shown(rows, drawn=names[:2]).split())
    assert "drawn" not in shown(rows)


def test_the_weakest_class_of_two_prompt_sets_says_which():
    text = " ".join(shown(study_rows(heads=("ridge",), prompts=("reference", "own"))).split())
    named = re.findall(r"(?:plain CLIP|ridge) / (?:reference|own)(?= an?)", text.partition("Weakest class")[2])
    assert sorted(named) == [
        f"{system} / {name}" for system in ("plain CLIP", "ridge") for name in ("own", "reference")
    ]
