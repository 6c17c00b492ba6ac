"""`expclip-cache predict` and `Predictor`, with the demo encoder and a random head."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from expclip_cache.base.errors import DataError, EncoderError, SettingsError
from expclip_cache.commands.app import app
from expclip_cache.demo.drawing.curves import SIZE
from expclip_cache.demo.drawing.sets import draw_items, plan_face
from expclip_cache.demo.settings import DemoSetSettings
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.images import read_pixels
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.faces.detector import FaceFinder, can_find_faces
from expclip_cache.heads.head_file import write_head
from expclip_cache.prediction.class_prompts import prompts_from
from expclip_cache.prediction.clips import read_clip
from expclip_cache.prediction.head_choice import DEMO_HEAD
from expclip_cache.prediction.predictor import Predictor
from expclip_cache.prompts.templates import prompt_table

PHOTO = Path(__file__).parents[2] / "data/astronaut.jpg"
needs_detector = pytest.mark.skipif(not can_find_faces(), reason="needs dlib (the extra `face`)")


@pytest.fixture(scope="module")
def encoder():
    return load_clip(ClipSettings(), torch.device("cpu"))


@pytest.fixture(scope="module")
def head(tmp_path_factory, encoder):
    file = tmp_path_factory.mktemp("head") / "head.safetensors"
    write_head(file, np.random.default_rng(5).standard_normal((192, encoder.width), dtype=np.float32), {})
    return file


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for number in range(6):
        Image.fromarray(draw_items(DemoSetSettings(count=6, seed=9), [number])[0, 0]).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def predictor(head):
    return Predictor(head=head, crop=False)


@pytest.fixture
def run(head):
    def command(*arguments: object, crop: str = "--no-crop"):
        given = ["predict", *map(str, arguments), "--head", str(head), "--device", "cpu", crop]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return command


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    high, wide = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (wide, high))
    assert video.isOpened()
    for frame in frames:
        video.write(np.ascontiguousarray(frame[:, :, ::-1]))
    video.release()


def test_percentages_equal_the_formula_of_the_paper(predictor, faces, encoder, head):
    """Cosines in the head's space, by plain NumPy."""
    from safetensors.numpy import load_file

    weights = load_file(head)["mlp.weight"].astype(np.float64)
    pixels = torch.from_numpy(read_pixels(faces / "0.png", encoder.preprocess)[None])
    image = weights @ encoder.encode_images(pixels)[0].double().numpy()
    table = prompt_table("reference", (5,), predictor.classes)
    texts = encoder.encode_texts([prompt.text for prompt in table]).double().numpy() @ weights.T
    cosines = texts @ image / np.linalg.norm(texts, axis=1) / np.linalg.norm(image)
    of = np.array([prompt.class_name for prompt in table])
    logits = encoder.logit_scale * np.array([cosines[of == name].mean() for name in predictor.classes])
    expected = 100 * np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = dict(predictor(faces / "0.png").expclip)
    np.testing.assert_allclose([found[name] for name in predictor.classes], expected, atol=0.01)


def test_percentages_are_ranked_and_sum_to_100(predictor, faces):
    prediction = predictor(faces / "1.png")
    for ranked in (prediction.expclip, prediction.clip):
        values = [percent for _, percent in ranked]
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(100)
        assert {name for name, _ in ranked} == set(predictor.classes)
    assert prediction.best == prediction.expclip[0][0]


def test_a_folder_of_frames_is_classified_by_its_mean_feature(predictor, faces, encoder):
    clip = predictor(faces)
    assert clip.frames == 16
    still = [predictor(faces / f"{number}.png") for number in range(6)]
    assert clip.expclip != still[0].expclip
    pixels = np.stack([read_pixels(faces / f"{min(k, 5)}.png", encoder.preprocess) for k in range(16)])
    mean = encoder.encode_images(torch.from_numpy(pixels)).mean(dim=0, keepdim=True).numpy()
    np.testing.assert_allclose(predictor._expclip_index.similarities(mean).argmax(), predictor.classes.index(clip.best))


def test_a_video_is_sampled_like_a_folder_of_frames(tmp_path):
    write_video(tmp_path / "clip.avi", [np.full((48, 64, 3), 5 * number, dtype=np.uint8) for number in range(40)])
    levels = [round(np.asarray(frame).mean() / 5) for frame in read_clip(tmp_path / "clip.avi", 16, "edge")]
    assert levels == [40 * (2 * k + 1) // 32 for k in range(16)]


def test_a_video_keeps_its_colours(tmp_path):
    red = np.zeros((48, 64, 3), dtype=np.uint8)
    red[:, :, 0] = 200
    write_video(tmp_path / "clip.avi", [red] * 3)
    frames = read_clip(tmp_path / "clip.avi", 4, "first")
    assert len(frames) == 4
    np.testing.assert_allclose(np.asarray(frames[0]).mean(axis=(0, 1)), (200, 0, 0), atol=8)


def test_a_video_file_is_one_clip(run, tmp_path, faces):
    write_video(tmp_path / "clip.avi", [np.asarray(Image.open(faces / f"{number}.png")) for number in range(6)] * 4)
    answer = json.loads(run(tmp_path / "clip.avi", "--json").stdout)
    assert answer["frames"] == 16


def test_the_packaged_head_classifies_drawn_faces(tmp_path, monkeypatch):
    """With unseen identities, drawn with another seed than the demo sets, and no files in the current folder."""
    monkeypatch.chdir(tmp_path)
    predictor, settings = Predictor(crop=False), DemoSetSettings(count=42, seed=77)
    right = 0
    for number in range(settings.count):
        Image.fromarray(draw_items(settings, [number])[0, 0]).save(tmp_path / "face.png")
        right += predictor("face.png").best == plan_face(settings.seed, number).expression
    assert right >= 38, f"{right} of {settings.count}"


def test_your_own_words_become_classes(head, faces):
    predictor = Predictor(head=head, crop=False, prompts="boredom, amusement, a face in pain.")
    assert predictor.classes == ("boredom", "amusement", "a face in pain")
    table = prompts_from("boredom; a sad, tired face.")
    assert [prompt.text for prompt in table] == ["an expression of boredom.", "a sad, tired face."]
    assert set(dict(predictor(faces / "0.png").expclip)) == set(predictor.classes)


def test_a_prompt_file_defines_the_classes(head, faces, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "classes:\n  calm: ['a calm face.', 'a quiet face.']\n  tense: ['a tense face.']\n"
    )
    assert Predictor(head=head, crop=False, prompts=str(tmp_path / "mine.yaml")).classes == ("calm", "tense")


def test_a_single_class_is_refused(head):
    with pytest.raises(SettingsError, match="at least two"):
        Predictor(head=head, crop=False, prompts="boredom")


def test_a_head_of_another_width_is_refused(tmp_path):
    write_head(tmp_path / "wide.safetensors", np.ones((8, 999), dtype=np.float32), {})
    with pytest.raises(EncoderError, match=r"wide\.safetensors.*999.*Give the head"):
        Predictor(head=tmp_path / "wide.safetensors", crop=False)


def test_a_missing_head_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="--head"):
        Predictor(ClipSettings(model="ViT-B-32", weights="random"))


@needs_detector
def test_the_face_in_a_photo_is_located(run):
    done = run(PHOTO, "--json", crop="--crop")
    answer = json.loads(done.stdout)
    assert done.exit_code == 0
    left, top, right, bottom = answer["face"]["box"]
    assert answer["face"]["found"] == 1
    # Eyes at about (205, 113) and (243, 112), mouth at (227, 146).
    assert left < 190 < 260 < right
    assert top < 95 < 165 < bottom
    assert right - left < 200


@needs_detector
def test_the_largest_of_several_faces_is_used():
    photo = Image.open(PHOTO)
    pair = Image.new("RGB", (900, 512))
    pair.paste(photo.resize((470, 470)), (0, 40))
    pair.paste(photo, (388, 0))
    face = FaceFinder().find(pair)
    assert face.found == 2
    assert face.left > 388


@needs_detector
def test_a_photo_is_rotated_as_its_exif_says(run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(PHOTO).rotate(90, expand=True).save(tmp_path / "side.jpg", exif=exif)
    answer = json.loads(run(tmp_path / "side.jpg", "--json", crop="--crop").stdout)
    assert answer["face"]["box"] == pytest.approx(
        json.loads(run(PHOTO, "--json", crop="--crop").stdout)["face"]["box"], abs=12
    )


@pytest.mark.slow
@needs_detector
def test_a_photo_of_40_megapixels(run, tmp_path):
    Image.open(PHOTO).resize((6400, 6400)).save(tmp_path / "large.jpg", quality=60)
    done = run(tmp_path / "large.jpg", "--json", crop="--crop")
    left, _, right, _ = json.loads(done.stdout)["face"]["box"]
    assert 1200 < right - left < 2500
    assert left < 2600 < right


@needs_detector
def test_a_photo_without_a_face_is_reported(run, tmp_path):
    Image.effect_noise((300, 200), 40).convert("RGB").save(tmp_path / "noise.png")
    done = run(tmp_path / "noise.png", crop="--crop")
    assert done.exit_code == 1
    assert "no face found" in done.stderr
    assert "--no-crop" in done.stderr
    assert run(tmp_path / "noise.png").exit_code == 0


def test_damaged_files_among_good_ones(run, faces, tmp_path):
    (tmp_path / "broken.jpg").write_text("hello")
    (tmp_path / "broken.mp4").write_text("hello")
    done = run(faces / "0.png", tmp_path / "broken.jpg", tmp_path / "broken.mp4", "--json")
    assert done.exit_code == 3
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in line for line in lines] == [False, True, True]
    assert "cannot identify" in lines[1]["error"]
    assert "not a video in a known format" in lines[2]["error"]
    assert "2 of 3 inputs have no answer" in done.stderr


def test_only_damaged_files(run, tmp_path):
    (tmp_path / "broken.jpg").write_text("hello")
    assert run(tmp_path / "broken.jpg").exit_code == 1


@pytest.mark.parametrize("name", ["missing.jpg", "empty"])
def test_no_input_is_an_error(run, tmp_path, name):
    (tmp_path / "empty").mkdir()
    done = run(tmp_path / name)
    assert done.exit_code == 1
    assert done.stderr.count("error:") == 1
    assert name in done.stderr


@pytest.mark.slow
def test_a_folder_of_500_photos(run, tmp_path):
    for number in range(500):
        Image.new("RGB", (SIZE, SIZE), (number % 256, 100, 50)).save(tmp_path / f"{number:03}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    done = run(tmp_path)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert len(lines) == 500
    assert lines[0].startswith(f"{tmp_path}/000.png  ")
    assert lines[0].count("%") == 3


def test_folders_of_frames(run, faces, tmp_path):
    for clip in ("a", "b"):
        (tmp_path / clip).mkdir()
        for number in range(3):
            (tmp_path / clip / f"{number}.png").write_bytes((faces / f"{number}.png").read_bytes())
    lines = [json.loads(line) for line in run(tmp_path, "--clips", "--json").stdout.splitlines()]
    assert [(Path(line["path"]).name, line["frames"]) for line in lines] == [("a", 16), ("b", 16)]
    assert lines[0]["expclip"] == lines[1]["expclip"]


def test_a_few_inputs_are_shown_with_bars_and_both_classifiers(run, faces):
    done = run(faces / "0.png", "--compare")
    head, titles, *bars = done.stdout.splitlines()
    assert head == str(faces / "0.png")
    assert titles.split() == ["Exp-CLIP", "CLIP"]
    assert len(bars) == 7
    assert all(line.count("%") == 2 for line in bars)
    assert "█" in bars[0]
    assert "drawn faces only" in done.stderr


@pytest.mark.parametrize("wrong", [{"weights": "random"}, {"preprocess": "clip"}])
def test_a_head_of_another_clip_is_refused(wrong):
    with pytest.raises(DataError, match=r"demo/head\.safetensors: was fitted to features of another CLIP"):
        Predictor(ClipSettings(**wrong), DEMO_HEAD, crop=False)


def test_a_head_that_names_no_clip_is_mentioned(run, faces):
    assert "names no CLIP, so only its width can be compared" in run(faces / "0.png").stderr.replace("\n", " ")


def test_without_a_detector_predict_asks_for_a_choice(faces, head, monkeypatch):
    """The answer must not depend on what is installed."""
    monkeypatch.setattr("expclip_cache.faces.detector.find_spec", lambda _: None)
    given = ["predict", str(faces / "0.png"), "--head", str(head), "--device", "cpu"]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code == 1
    assert "no face detector is installed" in refused.output
    assert "--no-crop" in refused.output
    assert CliRunner().invoke(app, [*given, "--no-crop"]).exit_code == 0
    with pytest.raises(EncoderError, match="no face detector is installed"):
        Predictor(head=head)


def test_names_with_line_ends_stay_on_one_line(run, tmp_path, faces):
    shutil.copy(faces / "0.png", tmp_path / "two\nlines.png")
    (tmp_path / "bro\tken.png").write_bytes(b"")
    done = run(tmp_path)
    assert "two\\nlines.png" in done.stdout.splitlines()[0]
    assert any("bro\\tken.png: UnidentifiedImageError" in line for line in done.stderr.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_terminal_gets_an_answer(tmp_path, faces, head, encoding):
    """With a name that is no UTF-8, and one with letters that no old terminal has."""
    for name in (b"caf\xe9.png", "笑.png".encode()):
        shutil.copy(faces / "0.png", os.fsencode(tmp_path) + b"/" + name)
    done = subprocess.run(
        [sys.executable, "-m", "expclip_cache.commands.app", "predict", tmp_path, "--no-crop", "--head", head],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[3] / "pipeline")},
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    # Where a terminal claims ASCII, click takes UTF-8 for names.
    text = done.stdout.decode("utf-8" if encoding == "ascii" else encoding)
    assert text.count(" %") == 14
    assert ("█" in text) == (encoding == "utf-8")
    assert ("#" in text) == (encoding != "utf-8")
    assert "caf\\udce9.png" in text
    assert ("笑.png" in text) == (encoding != "latin-1")
