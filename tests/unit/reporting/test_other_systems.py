"""The published systems other than CLIP and Exp-CLIP, with and without the study having them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from answers import statistics_of
from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.reporting.comparison import Comparison, Pair, compare_with_published
from expclip_cache.reporting.comparison_table import comparison_csv, comparison_to_terminal
from expclip_cache.reporting.other_systems import NO_OTHERS, OtherSystem, OtherSystems, other_systems
from expclip_cache.reporting.other_systems_table import other_systems_to_terminal
from expclip_cache.reporting.paper_table.build import paper_table
from expclip_cache.reporting.paper_table.columns import ColumnKey, table_columns
from expclip_cache.reporting.paper_table.content import TableOptions
from expclip_cache.reporting.paper_table.latex import to_latex
from expclip_cache.reporting.paper_table.markdown import to_markdown
from expclip_cache.reporting.paper_table.plain_csv import to_csv
from expclip_cache.reporting.published import published_system
from expclip_cache.reporting.text_table import WIDTH
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores
from expclip_cache.settings.file import load_settings

CLIP = ClipSettings(model="ViT-B-16-quickgelu", weights="openai")
FARL = ClipSettings(model="ViT-B-16-quickgelu", weights="farl.pth", published_as="FaRL")
EMOCLIP = ClipSettings(kind="emoclip", model="ViT-B-32", weights="e.pt", pool="temporal", published_as="EmoCLIP")
PROMPTS = {"reference": PromptSettings(types=(2, 5)), "own": PromptSettings(set="prompts/own.yaml")}
PAPER = ("raf-db", "affectnet-7", "affectnet-8", "ferplus", *(f"dfew-{k}" for k in range(1, 6)), "ferv39k",
         *(f"mafw-{k}" for k in range(1, 6)), "afew")  # fmt: skip


def datasets(names: Sequence[str]) -> dict[str, DatasetSettings]:
    found = {}
    for name in names:
        definition, _, fold = name.partition("-") if name[:4] in ("dfew", "mafw") else (name, "", "")
        found[name] = DatasetSettings(source=str(builtin_definitions()[definition]), fold=int(fold) if fold else None)
    return found


def scores(backbone: str, name: str, prompts: Sequence[str], right: float, *, head: bool = False) -> TestSetScores:
    """100 items of each class, of which this share is right, under every prompt set."""
    dataset = datasets([name])[name]
    c = len(load_definition(dataset.source).classes)
    hits = round(100 * right)
    plain = np.diag([hits] * c) + np.roll(np.diag([100 - hits] * c), 1, axis=1)
    sets = {}
    for prompt_set in prompts:
        matrices = dict.fromkeys((0,) if PROMPTS[prompt_set].is_file else PROMPTS[prompt_set].types, plain)
        heads = (HeadScores("blip2", "ridge", None, "0", matrices, None),) if head else ()
        sets[prompt_set] = PromptSetScores({}, matrices, heads)
    return TestSetScores(backbone, name, load_definition(dataset.source).classes, {"skipped": []}, sets)


def study(
    backbones: Mapping[str, ClipSettings],
    names: Sequence[str],
    *,
    right: float = 0.25,
    prompts: Mapping[str, Sequence[str]] | None = None,
) -> tuple[list[Comparison], OtherSystems]:
    found = [
        scores(backbone, name, (prompts or {}).get(backbone, ("reference",)), right, head=backbone == "b16")
        for backbone in backbones
        for name in names
    ]
    sets = datasets(names)
    rows = compare_with_published(backbones, PROMPTS, sets, found, statistics_of(found, sets))
    return rows, other_systems(rows, sets)


def named(others: OtherSystems, name: str) -> OtherSystem:
    return next(system for system in others.systems if system.name == name)


def test_without_any_of_them_all_are_shown_with_the_origin_of_their_weights():
    _, others = study({"b16": CLIP}, PAPER)
    assert list(others.columns.values()) == [
        *("RAF-DB", "AffectNet-7", "AffectNet-8", "FERPlus", "DFEW", "FERV39k", "MAFW", "AFEW"),
    ]
    assert [system.title for system in others.systems] == [
        *("BLIP2 (L/14)", "FaRL (B/16)", "FLAVA", "VideoCLIP", "X-CLIP (B/32)", "EmotionCLIP", "EmoCLIP"),
        "EmoCapCLIP (B/32)",
    ]
    assert not any(system.ours for system in others.systems)
    assert named(others, "BLIP2").published == (
        *(Pair(43.78, 44.07), Pair(32.86, 32.87), Pair(28.53, 28.53), Pair(43.40, 48.14)),
        *(None,) * 4,
    )
    assert [named(others, name).source for name in ("FLAVA", "EmoCapCLIP")] == ["paper", "figure"]
    assert named(others, "FaRL").weights.endswith("(github.com/FacePerceiver/FaRL, MIT)")
    assert "no weights" in named(others, "VideoCLIP").weights


def test_only_what_has_scores_on_the_studys_sets_is_shown_and_folds_need_their_mean():
    _, others = study({"b16": CLIP}, ("ferplus-csv", "dfew-1", "fer2013"))
    assert list(others.columns.values()) == ["FERPlus"]
    assert [system.name for system in others.systems] == ["BLIP2", "FaRL", "FLAVA", "EmoCapCLIP"]
    _, none = study({"b16": CLIP}, ("fer2013", "dfew-1"))
    assert none == NO_OTHERS


@pytest.mark.parametrize(("right", "inside"), [(0.25, True), (0.6, False)])
def test_a_backbone_that_names_a_system_stands_beside_it_and_a_clip_of_its_size_does_not(right, inside):
    rows, others = study({"b16": CLIP, "farl": FARL}, ("raf-db", "dfew-1"), right=right)
    (own,) = named(others, "FaRL").ours
    assert (own.backbone, own.prompts, own.prompt_type) == ("farl", "reference", 5)
    (cell,) = own.cells
    assert cell.clip.uar == pytest.approx(100 * right)
    # 700 items: the published 24.98 is well within the interval of 25, and far outside that of 60.
    assert own.covers(named(others, "FaRL").published) == (inside,)
    assert not any(system.ours for system in others.systems if system.name != "FaRL")
    farl = next(row for row in rows if (row.backbone, row.test_set) == ("farl", "raf-db"))
    assert (farl.method, farl.paper_clip, farl.paper_expclip, farl.log) == ("FaRL", Pair(24.98, 38.53), None, None)
    clip = next(row for row in rows if (row.backbone, row.test_set) == ("b16", "raf-db"))
    assert (clip.method, clip.paper_clip) == ("CLIP", Pair(38.66, 37.16))


def test_a_model_that_is_neither_is_not_called_clip():
    siglip = ClipSettings(kind="transformers", model="google/siglip2-base-patch16-224")
    rows, others = study({"siglip": siglip}, ("raf-db",))
    (line,) = paper_table(rows, table_columns(datasets(("raf-db",))), TableOptions(), confidence=95).blocks[0].lines
    assert (line.name, rows[0].published_as) == ("plain", None)
    assert not any(system.ours for system in others.systems)


def test_a_system_has_a_row_for_each_of_its_prompt_sets():
    _, others = study({"emoclip": EMOCLIP}, ("afew",), prompts={"emoclip": ("reference", "own")})
    assert [(row.prompts, row.prompt_type) for row in named(others, "EmoCLIP").ours] == [("reference", 5), ("own", 0)]


def test_the_csv_has_a_row_for_every_published_score_of_a_system_that_is_not_there():
    rows, others = study({"b16": CLIP, "farl": FARL}, PAPER)
    lines = list(csv.DictReader(io.StringIO(comparison_csv(rows, others))))
    assert len(lines) == len(rows) + 4 + 8 + 4 * 4 + 8
    more = {(line["published_backbone"], line["test_set"], line["part"]): line for line in lines[len(rows) :]}
    blip2 = more["BLIP2", "raf-db", "whole"]
    assert (blip2["backbone"], blip2["paper_clip_uar"], blip2["paper_clip_war"]) == ("", "43.780", "44.070")
    assert more["EmoCLIP", "mafw", "fold mean"]["paper_clip_war"] == "33.490"
    later = more["EmoCapCLIP", "afew", "whole"]
    assert (later["emocapclip_uar"], later["paper_clip_uar"]) == ("39.900", "")
    assert not [key for key in more if key[0] == "FaRL"]
    own = [line for line in lines if line["backbone"] == "farl" and line["test_set"] == "raf-db"]
    assert {(line["published_backbone"], line["paper_clip_uar"], line["paper_clip_inside"]) for line in own} == {
        ("FaRL", "24.980", "true")
    }
    assert {line["published_backbone"] for line in lines if line["backbone"] == "b16"} == {"B/16"}


def test_the_demo_has_no_published_scores():
    settings = load_settings(Path(__file__).parents[3] / "configs/demo.yaml")
    assert [published_system(clip) for clip in settings.backbones.values()] == [None]
    assert other_systems((), {name: settings.datasets[name] for name in settings.score.datasets}) == NO_OTHERS


def test_nothing_changes_where_nothing_is_published():
    rows, others = study({"b16": CLIP}, ("fer2013",))
    assert comparison_csv(rows, others) == comparison_csv(rows)


def test_the_terminal_shows_both_and_cuts_nothing():
    rows, others = study({"b16": CLIP, "farl": FARL}, PAPER)
    console = Console(width=WIDTH, file=io.StringIO())
    console.print(other_systems_to_terminal(others))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    for words in ("43.8", "25.0", "25.0*", "ours, type 5:", "62.9", "VideoCLIP: no weights"):
        assert words in text
    console = Console(width=WIDTH, file=io.StringIO())
    console.print(comparison_to_terminal(rows))
    assert "FaRL" not in console.file.getvalue()


def test_the_table_for_a_paper_has_them_if_published_scores_are_asked_for():
    rows, others = study({"b16": CLIP, "farl": FARL}, PAPER)
    columns = {**table_columns(datasets(PAPER)), ColumnKey("", "mean"): "Mean"}
    plain = paper_table(rows, columns, TableOptions(), confidence=95, others=others)
    assert [block.backbone for block in plain.blocks] == ["CLIP ViT-B/16", "FaRL (B/16)"]
    assert [line.name for line in plain.blocks[1].lines] == ["FaRL"]
    assert plain.blocks[1].lines[0].cells[0].uar.covers
    assert "for CLIP and FaRL that in the table of the Exp-CLIP paper" in " ".join(plain.caption)
    options = TableOptions(published=True, mean=True)
    table = paper_table(rows, columns, options, confidence=95, others=others)
    assert [line.name for line in table.blocks[1].lines] == ["FaRL, paper", "FaRL"]
    last = table.blocks[2]
    assert last.backbone == "Other systems, paper"
    assert [line.name for line in last.lines] == [
        *("BLIP2 (L/14)", "FLAVA", "VideoCLIP", "X-CLIP (B/32)", "EmotionCLIP", "EmoCLIP"),
    ]
    assert "EmoCLIP was trained on MAFW." in table.caption
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(to_csv(table, options)))}
    assert (lines["EmoCLIP"]["MAFW UAR"], lines["EmoCLIP"]["RAF-DB UAR"]) == ("25.86", "")
    assert "| BLIP2 (L/14) | 43.78/44.07 | 32.86/32.87 | 28.53/28.53 | 43.40/48.14 | - |" in to_markdown(table)
    assert r"EmoCLIP & -- & -- & -- & -- & 36.76/46.27 & 26.73/35.30 & 25.86/33.49 & 36.13/39.90" in to_latex(table)
