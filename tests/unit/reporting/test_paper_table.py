"""The table for a paper: its numbers, marks and caption, and that LaTeX and Markdown say the same as the csv file."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expclip_cache.base import SettingsError
from expclip_cache.datasets import DatasetSettings, builtin_definitions, definition_of
from expclip_cache.reporting import PaperTable, TableOptions, paper_table, table_columns, to_csv, to_latex, to_markdown
from expclip_cache.reporting.comparison import Pair
from expclip_cache.reporting.paper_table.columns import ColumnKey
from expclip_cache.reporting.paper_table.latex_text import latex_text
from expclip_cache.reporting.published import RESULTS
from expclip_cache.reporting.short_titles import short_titles
from paper_rows import COLUMNS, paper_rows

PLAIN = TableOptions()
WITH_MEAN = {**COLUMNS, ColumnKey("", "mean"): "Mean"}
EVERYTHING = TableOptions(intervals=True, std=True, published=True, mean=True)


def made(options: TableOptions = PLAIN, **study: object) -> PaperTable:
    return paper_table(paper_rows(**study), WITH_MEAN, options, confidence=95)


def in_csv(table: PaperTable, options: TableOptions = PLAIN) -> dict[tuple[str, str], dict[str, str]]:
    """Backbone and method -> column -> cell."""
    lines = csv.DictReader(io.StringIO(to_csv(table, options)))
    return {(line.pop("backbone"), line.pop("method")): line for line in lines}


def settings(name: str, fold: int | None = None) -> DatasetSettings:
    return DatasetSettings(source=str(builtin_definitions()[name]), fold=fold)


def test_every_definition_has_a_short_title():
    for name in builtin_definitions():
        fold = 1 if name in ("dfew", "mafw") else None
        assert definition_of(settings(name, fold)).short_title, name


def test_the_folds_of_a_set_are_one_column_if_all_are_there():
    dfew = {f"dfew-{fold}": settings("dfew", fold) for fold in (1, 2, 3, 4, 5)}
    own = {"lab": DatasetSettings(source="data/lab", layout="image-folders")}
    columns = table_columns({"raf-db": settings("raf-db"), **dfew, **own})
    assert {(key.test_set, key.part): heading for key, heading in columns.items()} == {
        ("raf-db", "whole"): "RAF-DB",
        ("dfew", "fold mean"): "DFEW",
        ("lab", "whole"): "lab",
        ("", "mean"): "Mean",
    }
    del dfew["dfew-4"]
    assert list(table_columns(dfew).values()) == [
        "DFEW, fold 1",
        "DFEW, fold 2",
        "DFEW, fold 3",
        "DFEW, fold 5",
        "Mean",
    ]


def test_two_sets_with_one_title_keep_their_keys():
    sets = {"as-folders": settings("ferplus"), "as-votes": settings("ferplus-csv"), "raf": settings("raf-db")}
    assert short_titles(sets) == {"as-folders": "as-folders", "as-votes": "as-votes", "raf": "RAF-DB"}


def test_the_numbers_are_those_of_the_comparison_under_the_highest_type():
    found, rows = in_csv(made()), [row for row in paper_rows() if row.prompt_type == 5]
    assert [method for _, method in found][:3] == ["CLIP", "Exp-CLIP (reference)", "Exp-CLIP (ridge)"]
    for row in rows:
        for method, pair in (("CLIP", row.clip), (f"Exp-CLIP ({row.head})", row.expclip)):
            line = found[f"CLIP ViT-{row.published_as[-4:]}", method]
            heading = next(heading for key, heading in COLUMNS.items() if key.test_set == row.test_set)
            assert line[f"{heading} UAR"] == f"{pair.uar:.2f}"
            assert line[f"{heading} WAR"] == f"{pair.war:.2f}"


def test_another_prompt_type_can_be_asked_for_if_it_was_scored():
    (first, *_) = [row for row in paper_rows() if row.prompt_type == 2]
    found = in_csv(made(TableOptions(prompt_type=2)))
    assert found["CLIP ViT-B/32", "CLIP"]["RAF-DB UAR"] == f"{first.clip.uar:.2f}"
    with pytest.raises(SettingsError, match=r"was scored \(2, 5; 0 stands .* found 3"):
        made(TableOptions(prompt_type=3))


@pytest.mark.parametrize("digits", [0, 1, 2])
@pytest.mark.parametrize("published", [False, True])
def test_the_best_of_each_backbone_and_column_is_marked_and_so_are_ties(digits, published):
    table = made(TableOptions(digits=digits, published=published))
    for block in table.blocks:
        for metric in ("uar", "war"):
            numbers = [[getattr(cell, metric) for cell in line.cells] for line in block.lines]
            shown = np.array([[float(f"{number.value:.{digits}f}") for number in line] for line in numbers])
            best = np.array([[number.best for number in line] for line in numbers])
            assert (best == (shown == shown.max(axis=0))).all()


def test_ties_at_the_shown_precision_are_both_bold():
    rows = [replace(row, expclip=Pair(60.04 if row.head == "ridge" else 60.01, 70.0)) for row in paper_rows()]
    table = paper_table(rows, COLUMNS, TableOptions(digits=1), confidence=95)
    assert to_markdown(table).count("**60.0**") == 2 * 3 * len(COLUMNS)


def test_a_single_system_is_not_the_best():
    clip_only = [replace(row, head="", teacher="", expclip=None) for row in paper_rows(heads=("x",))]
    table = paper_table(clip_only, COLUMNS, PLAIN, confidence=95)
    assert "**" not in to_markdown(table)
    assert not any("Bold" in sentence for sentence in table.caption)


def test_a_dagger_stands_exactly_where_our_interval_covers_what_is_to_be_reproduced():
    table = made(prompts=("reference", "clean"))
    rows = {
        (row.published_as[-4:], row.prompts, row.head, row.test_set): row
        for row in paper_rows(prompts=("reference", "clean"))
        if row.prompt_type == 5
    }
    marks = set()
    for block in table.blocks:
        for line in block.lines:
            words = re.fullmatch(r"(Exp-CLIP|CLIP) \((?:(\w+), )?(\w+)\)", line.name)
            for key, cell in zip(COLUMNS, line.cells, strict=True):
                row = rows[block.backbone[-4:], words[3], words[2] or "ridge", key.test_set]
                ours, target = row.expclip_intervals, row.log if words[3] == "reference" else row.paper_expclip
                if words[1] == "CLIP":
                    ours, target = row.clip_intervals, row.paper_clip
                expected = ours.uar.low <= target.uar <= ours.uar.high
                assert cell.uar.covers == expected
                assert cell.war.covers == (ours.war.low <= target.war <= ours.war.high)
                marks.add(expected)
    assert marks == {True, False}
    caption = " ".join(table.caption)
    assert "for CLIP that in the table of the Exp-CLIP paper" in caption
    assert "test log of its repository for this prompt type" in caption
    assert "with other prompts that in the table of the paper" in caption


def test_without_published_scores_there_is_no_dagger_and_no_word_about_one():
    rows = [replace(row, paper_clip=None, paper_expclip=None, log=None) for row in paper_rows()]
    table = paper_table(rows, COLUMNS, EVERYTHING, confidence=95)
    assert "†" not in to_markdown(table)
    assert "ublished" not in " ".join(table.caption)


def test_published_rows_have_the_published_figures_and_none_that_were_read_off_a_figure():
    options = TableOptions(published=True)
    found = in_csv(made(options))
    for backbone in ("B/32", "B/16", "L/14"):
        for method, source, kind in (("CLIP", "paper", None), ("Exp-CLIP", "paper", None), ("Exp-CLIP", "log", 5)):
            name = f"{method}, {source}" + (f", type {kind}" if kind else "")
            line = list(found[f"CLIP ViT-{backbone}", name].values())
            expected = [
                f"{value:.2f}"
                for one in RESULTS
                if (one.method, one.backbone, one.source, one.prompt_type) == (method, backbone, source, kind)
                for value in (one.uar, one.war)
            ]
            assert line == expected
    assert not any("EmoCapCLIP" in method for _, method in found)


def test_the_mean_is_that_of_the_columns_and_empty_where_one_is_missing():
    options = TableOptions(mean=True, digits=3)
    rows = [row for row in paper_rows() if (row.published_as, row.test_set) != ("CLIP B/16", "afew")]
    found = in_csv(paper_table(rows, WITH_MEAN, options, confidence=95), options)
    line = found["CLIP ViT-L/14", "Exp-CLIP (ridge)"]
    wars = [float(line[f"{heading} WAR"]) for heading in COLUMNS.values()]
    assert float(line["Mean WAR"]) == pytest.approx(np.mean(wars), abs=0.001)
    assert found["CLIP ViT-B/16", "CLIP"]["Mean UAR"] == found["CLIP ViT-B/16", "CLIP"]["AFEW UAR"] == ""


def test_our_mean_has_an_interval_and_a_deviation():
    mean = replace(paper_rows(types=(5,))[0], test_set="", part="mean", log=None, paper_clip=None, paper_expclip=None)
    options = TableOptions(mean=True, intervals=True, std=True)
    found = in_csv(paper_table([*paper_rows(), mean], WITH_MEAN, options, confidence=95), options)
    line = found["CLIP ViT-B/32", f"Exp-CLIP ({mean.head})"]
    interval = mean.expclip_intervals.uar
    numbers = (mean.expclip.uar, mean.expclip_std.uar, interval.low, interval.high)
    assert [line[f"Mean UAR{end}"] for end in ("", " std", " low", " high")] == [f"{value:.1f}" for value in numbers]


def test_intervals_and_deviations_stand_beside_their_scores():
    found = in_csv(made(EVERYTHING), EVERYTHING)
    row = next(row for row in paper_rows() if row.prompt_type == 5)
    line = found["CLIP ViT-B/32", "Exp-CLIP (reference)"]
    names = ("RAF-DB WAR", "RAF-DB WAR std", "RAF-DB WAR low", "RAF-DB WAR high")
    interval = row.expclip_intervals.war
    assert [line[name] for name in names] == [f"{v:.1f}" for v in (row.expclip.war, 1.1, interval.low, interval.high)]
    assert found["CLIP ViT-B/32", "Exp-CLIP (ridge)"]["RAF-DB WAR std"] == ""
    assert line["Mean UAR low"] == ""
    shown = to_markdown(made(EVERYTHING))
    assert re.search(r"\d\d\.\d(\*\*)?†? ±1\.1 \[\d\d\.\d, \d\d\.\d\]", shown)


def test_names_say_no_more_than_tells_the_systems_apart():
    assert [line.name for line in made(heads=("x",)).blocks[0].lines] == ["CLIP", "Exp-CLIP"]
    many = made(teachers=("xl", "xxl"), prompts=("reference", "clean")).blocks[0].lines
    assert many[0].name == "CLIP (reference)"
    assert [line.name for line in many if "xxl" in line.name and "ridge" in line.name] == [
        "Exp-CLIP (ridge, xxl, reference)",
        "Exp-CLIP (ridge, xxl, clean)",
    ]


def test_two_backbones_of_one_clip_keep_their_names():
    rows = [
        *paper_rows(backbones=("B/32",)),
        *(replace(row, backbone="b32-crop") for row in paper_rows(backbones=("B/32",))),
    ]
    table = paper_table(rows, COLUMNS, PLAIN, confidence=95)
    assert [block.backbone for block in table.blocks] == ["clip-B/32", "b32-crop"]


def test_drawn_faces_are_named_in_the_caption():
    table = paper_table(paper_rows(), COLUMNS, PLAIN, confidence=95, drawn=["raf-db"])
    assert "The faces of raf-db are drawn" in table.caption[-1]


CASES = {
    "plain": (PLAIN, {}),
    "published": (TableOptions(published=True, mean=True), {}),
    "intervals": (TableOptions(intervals=True, mean=True), {}),
    "everything": (EVERYTHING, {"backbones": ("B/32",)}),
    "names": (TableOptions(std=True), {"heads": ("my_head", "a--b"), "teachers": ("t5_xl", "t5_xxl")}),
}


@pytest.mark.parametrize("case", CASES)
def test_markdown_and_csv_say_the_same(case):
    options, study = CASES[case]
    table = made(options, **study)
    numbers = re.findall(r"\d+\.\d+", to_csv(table, options))
    rows = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert sorted(re.findall(r"\d+\.\d+", "".join(rows))) == sorted(numbers)


@pytest.mark.parametrize("case", CASES)
def test_latex_is_well_formed_and_says_the_same(case):
    options, study = CASES[case]
    table = made(options, **study)
    text = to_latex(table)
    opened, closed = (re.findall(rf"\\{word}\{{(table\*?|tabular)\}}", text) for word in ("begin", "end"))
    assert opened == closed[::-1]
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    sides = re.search(r"begin\{tabular\}\{([lc]+)\}", text)[1]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(sides) - 1}
    assert all(f"multicolumn{{{len(sides)}}}" in line for line in body.splitlines() if "multicolumn" in line)
    assert not re.search(r"(?<!\\)[_#%]", body)
    assert sorted(re.findall(r"\d+\.\d+", body)) == sorted(re.findall(r"\d+\.\d+", to_csv(table, options)))


def test_few_columns_fit_one_column_of_the_page():
    columns = dict(list(COLUMNS.items())[:2])
    assert r"\begin{table}[t]" in to_latex(paper_table(paper_rows(), columns, PLAIN, confidence=95))
    assert r"\begin{table*}[t]" in to_latex(made())


PAGE = r"""\documentclass[10pt,twocolumn]{article}
\usepackage{booktabs}\usepackage{graphicx}
\setlength{\textwidth}{6.875in}\setlength{\columnsep}{0.3125in}\setlength{\textheight}{8.875in}
\begin{document}
\input{table}\texttt{%s}
\end{document}
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
@pytest.mark.parametrize("case", CASES)
def test_latex_compiles_and_fits_the_page(case, tmp_path):
    options, study = CASES[case]
    (tmp_path / "table.tex").write_text(to_latex(made(options, **study)), encoding="utf-8")
    compiled(tmp_path, "")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_every_character_of_a_name_can_be_set(tmp_path):
    printable = "".join(map(chr, range(33, 127)))
    (tmp_path / "table.tex").write_text("", encoding="utf-8")
    compiled(tmp_path, latex_text(f"{printable} ---- 95 % †±"))


def compiled(folder: Path, text: str) -> None:
    (folder / "page.tex").write_text(PAGE % text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert (folder / "page.pdf").exists()
    assert not re.search(r"Overfull|Float too large", done.stdout) or text
