"""Figures for a paper: what is drawn is what was given, in the sizes and types that publishers ask for."""

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from expclip_cache.base import CANONICAL, DataError, SilentReporter
from expclip_cache.reporting.figures.confusion import confusion_figure
from expclip_cache.reporting.figures.gains import gains_figure
from expclip_cache.reporting.figures.loss import loss_figure
from expclip_cache.reporting.figures.points import Point, pairs_figure
from expclip_cache.reporting.figures.study import Drawing
from expclip_cache.reporting.figures.style import FORMATS, figure_bytes, figure_style
from expclip_cache.reporting.figures.writing import write_figures
from expclip_cache.statistics import Interval

SETS = ["RAF-DB", "a $b$ & <c>", "DFEW, fold 1"]
CLIP = [Point(30.0, Interval(28, 32)), Point(41.5, Interval(40, 45)), Point(20.0)]
HEAD = [Point(50.0, Interval(48, 53)), Point(40.0, Interval(39, 41)), Point(26.25)]
GAINS = [Point(20.0, Interval(17, 22.04)), Point(-1.46, Interval(-3, 0.5)), Point(0.04)]
LOSSES = {"seed 1": [3.0, 2.5, 2.0], "seed 2": [3.5, 2.0, 1.0]}


def matrix(seed: int, c: int = 7) -> np.ndarray:
    """(c, c) percent of the true class; the last but one class has no items."""
    percent = 100 * np.random.default_rng(seed).dirichlet(np.full(c, 0.5), c)
    percent[-2] = np.nan
    return percent


KINDS: dict[str, Callable] = {
    "confusion": partial(confusion_figure, CANONICAL[:7], matrix(0), matrix(1)),
    "confusion11": partial(confusion_figure, CANONICAL, matrix(0, 11), matrix(1, 11)),
    "gains": partial(gains_figure, SETS, GAINS),
    "uar": partial(pairs_figure, SETS, CLIP, HEAD, "UAR, %"),
    "recall": partial(pairs_figure, SETS, [*CLIP[:2], Point(np.nan)], [*HEAD[:2], Point(np.nan)], "recall, %", 33.3),
    "loss": partial(loss_figure, LOSSES),
    "loss of one": partial(loss_figure, {"seed 1": [3.0]}),
}


def drawn(kind: str):
    with figure_style():
        figure = KINDS[kind]()
        figure.draw_without_rendering()
        return figure


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def segments(axes) -> set[tuple[float, ...]]:
    """Start, end and height of the horizontal lines: the whiskers."""
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 2]
    return {(float(a[0]), float(b[0]), round(float(a[1]), 6)) for a, b in lines if a[1] == b[1] and a[0] != b[0]}


def points(axes) -> list[tuple[float, float]]:
    found = [line.get_xydata()[0] for line in axes.lines if len(line.get_xydata()) == 1]
    return [(float(x), round(float(y), 6)) for x, y in found]


@pytest.mark.parametrize("kind", KINDS)
def test_widths_and_types_are_those_of_a_page_with_two_columns(kind):
    figure = drawn(kind)
    assert figure.get_figwidth() == (6.9 if kind.startswith("confusion") else 3.3)
    (axes, *_) = figure.axes
    sizes = {label.get_fontsize() for label in (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label)}
    assert sizes == {8.0}
    assert all(text.get_fontsize() >= 5 for one in figure.axes for text in one.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_drawn_beyond_the_edge(kind):
    figure = drawn(kind)
    box = figure.get_tightbbox()
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= figure.get_figwidth() + 0.01
    assert box.y1 <= figure.get_figheight() + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_give_the_same_bytes_whatever_a_matplotlibrc_says(kind):
    import matplotlib as mpl

    files = []
    for size in (8, 20):
        with mpl.rc_context({"font.size": size, "axes.grid": True, "svg.hashsalt": None}), figure_style():
            figure = KINDS[kind]()
            files.append([figure_bytes(figure, format) for format in FORMATS])
    assert files[0] == files[1]
    svg, pdf = files[0]
    assert svg.startswith(b"<?xml")
    assert b"<dc:date>" not in svg
    assert b"CreationDate" not in pdf


def test_type_is_embedded_as_truetype_in_pdf_and_as_paths_in_svg():
    with figure_style():
        svg, pdf = (figure_bytes(KINDS["gains"](), format) for format in FORMATS)
    assert b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert b"<text" not in svg


def test_nothing_of_pyplot_is_used():
    import subprocess
    import sys

    program = (
        "import sys; from expclip_cache.reporting.figures.loss import loss_figure as f; "
        "from expclip_cache.reporting.figures.style import figure_bytes as b; b(f({'seed 1': [2.0, 1.0]}), 'svg'); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_gain_is_a_point_with_its_interval_and_a_number():
    (axes,) = drawn("gains").axes
    assert words(axes) == ["+20.0 [17.0, 22.0]", "−1.5 [−3.0, 0.5]", "0.0"]
    assert points(axes) == [(20.0, 0), (-1.46, 1), (0.04, 2)]
    assert segments(axes) == {(17.0, 22.04, 0.0), (-3.0, 0.5, 1.0)}
    assert [label.get_text() for label in axes.get_yticklabels()] == SETS


def test_clip_stands_above_exp_clip_each_with_its_interval():
    (axes,) = drawn("uar").axes
    assert [x for x, _ in points(axes)] == [30.0, 50.0, 41.5, 40.0, 20.0, 26.25]
    heights = [y for _, y in points(axes)]
    assert all(clip < line < head for line, (clip, head) in enumerate(zip(heights[::2], heights[1::2], strict=True)))
    assert {segment[:2] for segment in segments(axes)} == {(28, 32), (40, 45), (48, 53), (39, 41)}
    assert axes.get_ylim() == (2.5, -0.5)
    low, high = axes.get_xlim()
    assert low == 0
    assert 53 < high <= 100


def test_a_class_without_items_says_so():
    figure = drawn("recall")
    assert words(figure.axes[0]) == ["no test items"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CLIP", "Exp-CLIP", "chance"]


def test_confusion_matrices_have_their_numbers_and_the_sign_of_the_difference():
    figure = drawn("confusion")
    clip, expclip = matrix(0), matrix(1)
    for axes, values, form in zip(
        figure.axes, (clip, expclip, expclip - clip), ("{:.0f}", "{:.0f}", "{:+.0f}"), strict=True
    ):
        shown = {tuple(int(x) for x in text.get_position()[::-1]): text.get_text() for text in axes.texts}
        expected = {
            (row, column): form.format(values[row, column]).replace("-", "−")
            for row in range(7)
            for column in range(7)
            if not np.isnan(values[row, column]) and round(values[row, column]) != 0
        }
        assert shown == expected
    assert [axes.get_title() for axes in figure.axes] == ["CLIP, %", "Exp-CLIP, %", "Exp-CLIP minus CLIP, points"]


def test_a_change_for_the_better_is_blue_and_one_for_the_worse_orange():
    clip, expclip = np.full((2, 2), 50.0), np.array([[80.0, 20.0], [90.0, 10.0]])
    with figure_style():
        *_, axes = confusion_figure(("a", "b"), clip, expclip).axes
        colours = axes.collections[0].to_rgba(axes.collections[0].get_array()).reshape(2, 2, 4)
    red, blue = colours[..., 0], colours[..., 2]
    assert (blue[0] > red[0]).all(), "class a: more right and less wrong"
    assert (red[1] > blue[1]).all(), "class b: less right and more wrong"


def test_the_loss_shows_every_seed_their_mean_and_range():
    (axes,) = drawn("loss").axes
    *seeds, mean = (line.get_ydata().tolist() for line in axes.lines)
    assert seeds == list(LOSSES.values())
    assert mean == [3.25, 2.25, 1.5]
    (area,) = (path.vertices for path in axes.collections[0].get_paths())
    assert {tuple(vertex) for vertex in area.tolist()} >= {(1, 3.0), (1, 3.5), (3, 1.0), (3, 2.0)}


def test_names_with_dollars_are_no_formulas():
    with figure_style():
        assert figure_bytes(gains_figure([r"$\undefined$"], [Point(1.0)]), "svg")


def test_files_are_written_in_each_format_and_others_are_left_alone(tmp_path):
    (tmp_path / "mine.svg").write_text("mine")
    drawings = [Drawing("loss_a", KINDS["loss"]), Drawing("gains_a", KINDS["gains"])]
    files = write_figures(drawings, tmp_path, ("svg", "pdf"), SilentReporter())
    assert [file.name for file in files] == ["loss_a.svg", "loss_a.pdf", "gains_a.svg", "gains_a.pdf"]
    assert {file.name for file in tmp_path.iterdir()} == {*(file.name for file in files), "mine.svg"}
    assert all(re.match(rb"<\?xml|%PDF", file.read_bytes()) for file in files)


def test_two_figures_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two figures have this name"):
        write_figures([Drawing("x", KINDS["loss"])] * 2, tmp_path, ("svg",), SilentReporter())
