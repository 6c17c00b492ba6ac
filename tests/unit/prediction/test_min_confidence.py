"""`predict --min-confidence` and `--temperature`: unsure answers in every output."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas
import pytest
from PIL import Image

from expclip_cache.base.errors import SettingsError
from expclip_cache.faces.detector import DetectedFace
from expclip_cache.prediction.annotated import BACKGROUND, UNSURE, annotated
from expclip_cache.prediction.output import moment_to_json, prediction_to_bars, prediction_to_lines
from expclip_cache.prediction.predictor import Predictor
from expclip_cache.prediction.result import Answer, Moment, Prediction
from expclip_cache.prediction.timeline import timeline_to_svg, timeline_to_text
from videos import write_video

SVG = "{http://www.w3.org/2000/svg}"


def answer(unsure=False, face=None, **percent):
    ranked = tuple(sorted(percent.items(), key=lambda item: -item[1]))
    return Answer(ranked, ranked, face, unsure)


@pytest.fixture(scope="module")
def confidences(predictor, faces):
    """The percentage of the top class of each of six photos, none near another."""
    found = {str(each.path): each.answers[0].ranked[0][1] for each in predictor.many(sorted(faces.iterdir()))}
    assert len(found) == 6
    return found


@pytest.fixture(scope="module")
def middle(confidences):
    """Three of the photos have less."""
    low, high = sorted(confidences.values())[2:4]
    assert high - low > 0.2
    return (low + high) / 2


def test_an_answer_below_the_threshold_is_unsure_and_keeps_its_percentages(head, predictor, faces, confidences, middle):
    strict = Predictor(head=head, crop=False, min_confidence=middle)
    for path, confidence in confidences.items():
        (found,), (before,) = strict(path).answers, predictor(path).answers
        assert found.unsure == (confidence < middle)
        assert not before.unsure
        assert (found.best, found.ranked) == (before.best, before.ranked)


def test_the_threshold_itself_is_sure(head, predictor, faces):
    (_, confidence), *_ = predictor(faces / "0.png").answers[0].ranked
    for least, unsure in ((confidence, False), (np.nextafter(confidence, 100), True)):
        (found,) = Predictor(head=head, crop=False, min_confidence=least)(faces / "0.png").answers
        assert found.unsure is unsure


def test_without_a_head_the_percentage_of_clip_counts(faces):
    clip = Predictor(head="none", crop=False, min_confidence=100)
    assert clip(faces / "0.png").answers[0].unsure


def test_a_temperature_divides_the_logits(head, predictor, faces):
    """So the logarithms of two classes' percentages are half as far apart."""
    (one,), (two,) = (
        each(faces / "0.png").answers for each in (predictor, Predictor(head=head, crop=False, temperature=2))
    )
    for before, after in ((one.expclip, two.expclip), (one.clip, two.clip)):
        assert [name for name, _ in before] == [name for name, _ in after]
        gaps = [np.diff(np.log([percent for _, percent in ranked])) for ranked in (before, after)]
        np.testing.assert_allclose(gaps[0], 2 * gaps[1], rtol=1e-6)


@pytest.mark.parametrize("value", [0.6, 1, 100.5, -1, float("nan"), float("inf")])
def test_what_is_no_percentage_is_refused(run, faces, value):
    with pytest.raises(SettingsError, match=r"min_confidence \(--min-confidence\): expected a percentage"):
        Predictor(crop=False, min_confidence=value)
    refused = run(faces / "0.png", "--min-confidence", value)
    assert refused.exit_code == 1
    assert "--min-confidence" in refused.stderr


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_what_is_no_temperature_is_refused(value):
    with pytest.raises(SettingsError, match=r"temperature \(--temperature\): expected a number above 0"):
        Predictor(crop=False, temperature=value)


def test_many_photos(run, faces, confidences, middle, tmp_path):
    given = faces, "--min-confidence", middle, "--csv", tmp_path / "a.csv", "--save", tmp_path / "marked"
    (tmp_path / "broken.jpg").write_text("hello")
    done = run(*given, tmp_path / "broken.jpg")
    assert done.exit_code == 3
    assert sum("  unsure: " in line for line in done.stdout.splitlines()) == 3
    assert "unsure 3" in done.stderr
    table = pandas.read_csv(tmp_path / "a.csv")
    assert table.unsure.dtype == bool
    assert table.unsure.tolist() == [confidences.get(path, 100) < middle for path in table.path]
    assert table.best.isna().tolist() == [False] * 6 + [True]
    unsure = [confidence < middle for confidence in confidences.values()]
    for path, expected in zip(confidences, unsure, strict=True):
        corner = Image.open(tmp_path / "marked" / path.rsplit("/", 1)[-1]).convert("RGB").getpixel((1, 1))
        assert "#{:02x}{:02x}{:02x}".format(*corner) == (UNSURE if expected else BACKGROUND)


def test_unsure_answers_are_answers(run, faces):
    done = run(faces / "0.png", "--min-confidence", 100, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["unsure"] is True
    assert json.loads(run(faces / "0.png", "--json").stdout)["unsure"] is False
    assert run(faces / "0.png", "--min-confidence", 100).stdout.splitlines()[0].endswith("  (unsure)")


def test_each_face_is_sure_or_not_on_its_own():
    boxes = DetectedFace(0, 0, 40, 40, 2), DetectedFace(50, 0, 90, 40, 2)
    faces = Prediction("a.png", (answer(face=boxes[0], joy=90, fear=10), answer(True, boxes[1], joy=55, fear=45)))
    first, second = prediction_to_lines(faces, compare=False, top=1).splitlines()
    assert first == "a.png  face 1  joy 90 %"
    assert second == "a.png  face 2  unsure: joy 55 %"
    titles = [line for line in prediction_to_bars(faces, compare=False, top=1).splitlines() if line.startswith("a.png")]
    assert titles == ["a.png  (face 1 of 2, 40 x 40)", "a.png  (face 2 of 2, 40 x 40, unsure)"]
    copy = annotated(Image.new("RGB", (100, 50)), faces)
    assert ["#{:02x}{:02x}{:02x}".format(*copy.getpixel((x, 40))) for x in (20, 70)] == [BACKGROUND, UNSURE]


MOMENTS = [
    Moment(0, answer(joy=100, fear=0)),
    Moment(1, None),
    Moment(2, answer(True, joy=50, fear=50)),
    Moment(3, answer(joy=80, fear=20)),
]


def test_the_chart_in_the_terminal_marks_unsure_moments():
    title, _, _, unsure, axis = timeline_to_text("a.mp4", MOMENTS).splitlines()
    assert title == "a.mp4  (4 frames, 1 without a face, 1 unsure)"
    assert unsure == "  unsure  " + " " * 28 + "x" * 14
    assert axis.split() == ["0.0", "s", "3.0", "s"]
    assert "unsure" not in timeline_to_text("a.mp4", MOMENTS[:2])


def test_the_svg_has_faint_bars_for_unsure_moments():
    root = ElementTree.fromstring(timeline_to_svg("a.mp4", MOMENTS))
    areas = [element for element in root.iter(f"{SVG}path") if "area" in element.get("class", "")]
    assert [(area.get("class"), area.get("d").count("M")) for area in areas] == [
        ("area best", 2),
        ("area best unsure", 1),
        ("area", 2),
        ("area unsure", 1),
    ]
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "a.mp4: 4 frames, 1 without a face, shaded, 1 unsure, faint" in texts


def test_a_video_over_time(run, faces, tmp_path):
    frame = np.asarray(Image.open(faces / "0.png").convert("RGB"))
    write_video(tmp_path / "clip.mkv", [frame] * 50)
    given = tmp_path / "clip.mkv", "--every", "1s", "--min-confidence", 100
    done = run(*given, "--csv", tmp_path / "a.csv")
    assert done.exit_code == 0
    assert "(2 frames, 2 unsure)" in done.stdout
    assert [row["unsure"] for row in csv.DictReader((tmp_path / "a.csv").open())] == ["True", "True"]
    assert [json.loads(line)["unsure"] for line in run(*given, "--json").stdout.splitlines()] == [True, True]
    assert "unsure" not in moment_to_json("a.mp4", MOMENTS[1])
