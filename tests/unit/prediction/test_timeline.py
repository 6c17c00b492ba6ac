"""`predict --every` and `Predictor.over_time`."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets import sample_indices
from expclip_cache.prediction.result import Answer, Moment
from expclip_cache.prediction.timeline import seconds_of, timeline_to_svg, timeline_to_text
from videos import write_video

RATE = 25


@pytest.fixture(scope="module")
def video(tmp_path_factory, faces):
    """Three seconds: a face a second."""
    file = tmp_path_factory.mktemp("video") / "clip.mkv"
    frames = [np.asarray(Image.open(faces / f"{number}.png").convert("RGB")) for number in range(3)]
    write_video(file, [frame for frame in frames for _ in range(RATE)])
    return file


def moment(seconds, **percent):
    ranked = tuple(sorted(percent.items(), key=lambda item: -item[1]))
    return Moment(seconds, Answer(ranked, ranked) if percent else None)


def test_each_moment_has_the_answer_of_its_frame(predictor, faces, video):
    moments = list(predictor.over_time(video, 0.5, batch_size=2))
    assert [each.seconds for each in moments] == pytest.approx([0, 0.52, 1, 1.52, 2, 2.52])
    for number, each in enumerate(moments):
        expected = predictor(faces / f"{number // 2}.png").answers[0].expclip
        assert dict(each.answer.expclip) == pytest.approx(dict(expected), abs=1e-3)


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_no_time_between_frames_is_refused(predictor, video, every):
    with pytest.raises(SettingsError, match="every: expected seconds > 0"):
        next(predictor.over_time(video, every))


@pytest.mark.parametrize("name", ["missing.mp4", "."])
def test_what_is_no_video_file_is_refused(predictor, tmp_path, name):
    with pytest.raises(DataError, match=r"does not exist|expected a video file"):
        next(predictor.over_time(tmp_path / name))


@pytest.mark.parametrize(("text", "seconds"), [("0.5s", 0.5), ("500ms", 0.5), ("2", 2), (" .25 s ", 0.25)])
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "1m", "half a second", "nan", "1e9s s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(SettingsError, match=r"--every: expected a time such as 0\.5s"):
        seconds_of(text)


def test_the_chart_in_the_terminal_shows_levels_gaps_and_means(capsys):
    moments = [moment(0, joy=100, fear=0), moment(1), moment(2, joy=50, fear=50)]
    title, joy, fear, axis = timeline_to_text("a.mp4", moments).splitlines()
    assert title == "a.mp4  (3 frames, 1 without a face)"
    assert joy.split() == ["joy", "█" * 18 + "·" * 18 + "▄" * 18, "75", "%"]
    assert fear.split() == ["fear", "·" * 18 + "▄" * 18, "25", "%"]
    assert axis.split() == ["0.0", "s", "2.0", "s"]
    assert max(map(len, (title, joy, fear, axis))) <= 80


@pytest.mark.parametrize("count", [1, 2, 55, 56, 57, 100, 1000])
def test_every_moment_counts_and_the_chart_stays_narrow(count):
    """A single peak, wherever it is, shows."""
    for peak in {0, count // 2, count - 1}:
        moments = [moment(k, joy=100.0 if k == peak else 0.0, fear=0.0 if k == peak else 100.0) for k in range(count)]
        lines = timeline_to_text("a.mp4", moments).splitlines()
        assert all(len(line) <= 80 for line in lines)
        joy = next(line for line in lines if line.startswith("  joy"))
        assert any(level in joy for level in "▁▂▃▄▅▆▇█") or count > 8 * 56


def test_the_svg_has_a_bar_per_moment_and_class_and_shades_gaps():
    moments = [moment(0, joy=100, fear=0), moment(1), moment(2, joy=50, fear=50)]
    root = ElementTree.fromstring(timeline_to_svg("<a> & b.mp4", moments))
    paths = [
        element.get("d") for element in root.iter("{http://www.w3.org/2000/svg}path") if "area" in element.get("class")
    ]
    assert [path.count("M") for path in paths] == [2, 2]
    heights = [float(part.split("h")[0]) for part in paths[0].split("v")[1:]]
    assert heights[0] == pytest.approx(2 * heights[1])
    gaps = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("class") == "gap"]
    assert len(gaps) == 1
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<a> & b.mp4: 3 frames, 1 without a face, shaded" in texts
    assert texts[-2:] == ["0.0 s", "3.0 s"]


def test_the_command_shows_writes_and_draws(run, video, tmp_path):
    done = run(video, "--every", "0.5s", "--csv", tmp_path / "c.csv", "--save", tmp_path / "charts")
    assert done.exit_code == 0, done.output
    assert "clip.mkv  (6 frames)" in done.stdout
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [row["seconds"] for row in rows] == ["0.000", "0.520", "1.000", "1.520", "2.000", "2.520"]
    assert all(row["best"] for row in rows)
    ElementTree.parse(tmp_path / "charts/clip.mkv.svg")
    lines = [json.loads(line) for line in run(video, "--every", "1", "--json").stdout.splitlines()]
    assert [line["seconds"] for line in lines] == [0, 1, 2]


def test_a_video_without_an_answer_does_not_stop_the_others(run, video, faces, tmp_path):
    (tmp_path / "broken.mp4").write_text("hello")
    done = run(tmp_path / "broken.mp4", faces / "0.png", video, "--every", "1s", "--csv", tmp_path / "c.csv")
    assert done.exit_code == 3
    assert "broken.mp4: not a video in a known format" in done.stderr
    assert "0.png: not a video" in done.stderr
    assert "2 of 3 inputs have no answer" in done.stderr
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [bool(row["error"]) for row in rows] == [True, True, False, False, False]


@pytest.mark.parametrize("option", [("--all-faces",), ("--clips",), ("--frames", "4")])
def test_options_that_do_not_go_together(run, video, option):
    refused = run(video, "--every", "1s", *option, crop="--crop")
    assert refused.exit_code == 1
    assert f"{option[0]} does not go with --every" in refused.stderr


def test_the_frames_of_a_clip_are_those_that_the_paper_samples(predictor, video):
    """The other way to read the same video, unchanged."""
    assert predictor(video).frames == 16
    assert sample_indices(75, 3, "edge") == (12, 37, 62)
