"""Finding faces once: with dlib's detector on photos of a face and on noise; kills, changes and other detectors."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expclip_cache.base.errors import DataError, EncoderError, FileAccessError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.datasets.boxes import NO_FACE
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.faces import crop_file, detector, find
from expclip_cache.faces.crop_file import known_boxes, with_crops
from expclip_cache.faces.detector import DETECTOR, FaceFinder, can_find_faces
from expclip_cache.faces.find import complete_crops
from expclip_cache.faces.save import save_crops
from expclip_cache.faces.scenes import scene_note
from face_images import RecordingReporter
from videos import write_video

PHOTO = Path(__file__).parents[2] / "data/astronaut.jpg"
HEAD = (140, 40, 300, 200)
"""The head in the photo: left, top, right, bottom."""

pytestmark = pytest.mark.skipif(not can_find_faces(), reason="needs dlib (the extra `face`)")


def scene(left: int, top: int, size: int = 110, wide: int = 400, high: int = 240) -> Image.Image:
    """A head at a place in a dull scene."""
    random = np.random.default_rng(left)
    image = Image.fromarray(random.integers(90, 120, (high, wide, 3), dtype=np.uint8))
    image.paste(Image.open(PHOTO).crop(HEAD).resize((size, size)), (left, top))
    return image


@pytest.fixture
def scenes(tmp_path):
    """Six scenes, in the third of which there is nobody, and a file that is no image."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(6):
        scene(20 + 40 * number, 20 + 15 * number).save(folder / f"{number}.png")
    Image.new("RGB", (400, 240), (110, 100, 100)).save(folder / "2.png")
    (folder / "broken.jpg").write_bytes(b"not an image")
    return folder


def boxes_of(manifest):
    return {row.path: row.boxes for row in manifest.rows}


def refuse():
    raise AssertionError("there is nothing to search")


def test_the_face_is_found_where_it_is(scenes, tmp_path):
    said = RecordingReporter()
    cropped = complete_crops(build_manifest(scenes), lambda: scenes, tmp_path / "out/crops.jsonl", said)
    boxes = boxes_of(cropped)
    for number in (0, 1, 3, 4, 5):
        ((left, top, right, bottom),) = boxes[f"{number}.png"]
        at = 20 + 40 * number + 55, 20 + 15 * number + 55
        assert abs((left + right) / 2 - at[0]) < 25, number
        assert abs((top + bottom) / 2 - at[1]) < 25, number
        assert FaceFinder().find(Image.open(scenes / f"{number}.png")).box == (left, top, right, bottom)
    assert boxes["2.png"] == boxes["broken.jpg"] == (NO_FACE,)
    assert said.lines == [
        "scenes: no face was found in 2 of 7 items, which count as items that cannot be read",
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_complete_file_needs_neither_images_nor_detector(scenes, tmp_path, monkeypatch, processes):
    manifest, file = build_manifest(scenes), tmp_path / "crops.jsonl"
    first = complete_crops(manifest, lambda: scenes, file, SilentReporter(), processes)
    content = file.read_bytes()
    monkeypatch.setattr(detector, "find_spec", lambda _: None)
    assert complete_crops(manifest, refuse, file, SilentReporter()) == first
    assert file.read_bytes() == content
    assert with_crops(manifest, file, DETECTOR) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [".crops.jsonl.lock", "crops.jsonl", "scenes"]


def test_only_what_is_new_is_searched(scenes, tmp_path, monkeypatch):
    file = tmp_path / "crops.jsonl"
    before = boxes_of(complete_crops(build_manifest(scenes), lambda: scenes, file, SilentReporter()))
    scene(30, 90).save(scenes / "new.png")
    (scenes / "1.png").rename(scenes / "moved.png")
    (scenes / "0.png").unlink()
    searched = []
    monkeypatch.setattr(find, "_find_in_row", lambda *given: searched.append(given[-1].row.path) or ((1, 2, 3, 4),) * 1)
    after = boxes_of(complete_crops(build_manifest(scenes), lambda: scenes, file, SilentReporter(), 1))
    assert searched == ["new.png"]
    assert after.pop("new.png") == ((1, 2, 3, 4),)
    assert after.pop("moved.png") == before["1.png"]
    assert after == {path: box for path, box in before.items() if path not in ("0.png", "1.png")}


def test_another_detector_searches_again(scenes, tmp_path, monkeypatch):
    manifest, file = build_manifest(scenes), tmp_path / "crops.jsonl"
    first = complete_crops(manifest, lambda: scenes, file, SilentReporter())
    monkeypatch.setattr(detector, "MARGIN", 0.0)
    monkeypatch.setattr(find, "DETECTOR", {**DETECTOR, "margin": 0.0})
    second = complete_crops(manifest, lambda: scenes, file, SilentReporter(), 1)
    assert second.sha256 != first.sha256
    widths = [[box[2] - box[0] for row in made.rows for box in row.boxes if box != NO_FACE] for made in (first, second)]
    assert all(wide > narrow for wide, narrow in zip(*widths, strict=True))
    with pytest.raises(DataError, match=r"faces of other images, or of another search\. Run `dvc repro crops`"):
        with_crops(manifest, file, DETECTOR)


def test_a_clip_has_the_last_face_where_a_frame_has_none(tmp_path):
    frames = [np.asarray(scene(20 + 40 * number, 60)) for number in (0, 2, 4)]
    frames.insert(1, np.full_like(frames[0], 100))
    for number, pixels in enumerate(frames):
        (tmp_path / "clips/a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"clips/a/{number}.png")
    write_video(tmp_path / "clips/b.mov", frames)
    settings = DatasetSettings(source="x", layout="frame-folders", labelled=False, frames=6)
    manifest = build_manifest(tmp_path / "clips", settings)
    assert [row.path for row in manifest.rows] == ["a", "b.mov"]
    cropped = complete_crops(manifest, lambda: tmp_path / "clips", tmp_path / "crops.jsonl", SilentReporter(), 1)
    folder, video = cropped.rows
    assert folder.boxes[0] == folder.boxes[1] != folder.boxes[2]
    assert folder.boxes[3] == folder.boxes[4] == folder.boxes[5]
    assert len(set(folder.boxes)) == 3
    np.testing.assert_allclose(video.boxes, folder.boxes, atol=12)


def test_files_that_changed_are_refused_and_trouble_of_the_machine_is_told(scenes, tmp_path, monkeypatch):
    manifest = build_manifest(scenes)
    scene(300, 90).save(scenes / "4.png")
    with pytest.raises(DataError, match=r"'4\.png' \(row 4\) is not what its manifest lists"):
        complete_crops(manifest, lambda: scenes, tmp_path / "crops.jsonl", SilentReporter(), 1)
    (scenes / "4.png").unlink()
    with pytest.raises(FileAccessError, match=r"'4\.png' \(row 4\) could be read when its manifest was made"):
        complete_crops(manifest, lambda: scenes, tmp_path / "crops.jsonl", SilentReporter(), 2)
    assert not (tmp_path / "crops.jsonl").exists()


def test_without_a_detector_the_error_says_what_to_do(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "find_spec", lambda _: None)
    with pytest.raises(EncoderError, match=r"no face detector is installed.*crop: none for a dataset"):
        complete_crops(build_manifest(scenes), lambda: scenes, tmp_path / "crops.jsonl", SilentReporter())


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-20],
        lambda raw: raw.replace(b'"boxes":[[', b'"boxes":[[1', 1),
        lambda raw: raw.replace(b"expclip-cache crops 1", b"expclip-cache crops 9"),
        lambda raw: b"",
        lambda raw: b"[" * 100_000,
        lambda raw: b"\xff" + raw,
    ],
    ids=["cut", "changed", "other format", "empty", "nested", "not text"],
)
def test_a_damaged_file_is_noticed_and_made_again(scenes, tmp_path, damage):
    manifest, file = build_manifest(scenes), tmp_path / "crops.jsonl"
    complete_crops(manifest, lambda: scenes, file, SilentReporter())
    raw = file.read_bytes()
    file.write_bytes(damage(raw))
    with pytest.raises(DataError, match=r"the boxes of the faces are damaged\. Run `dvc repro crops`"):
        with_crops(manifest, file, DETECTOR)
    complete_crops(manifest, lambda: scenes, file, SilentReporter(), 1)
    assert file.read_bytes() == raw


KILLED = """
import sys
from pathlib import Path
from expclip_cache.base import SilentReporter
from expclip_cache.datasets import build_manifest
from expclip_cache.faces import find
find.KEEP_SECONDS = 0
find.CHUNK = 1
root, file = Path(sys.argv[1]), Path(sys.argv[2])
find.complete_crops(build_manifest(root), lambda: root, file, SilentReporter(), 2)
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(tmp_path, monkeypatch):
    folder, file = tmp_path / "scenes", tmp_path / "crops.jsonl"
    folder.mkdir()
    for number in range(40):
        scene(20 + 5 * number, 20 + 2 * number).save(folder / f"{number:02}.png")
    manifest = build_manifest(folder)
    whole = complete_crops(manifest, lambda: folder, tmp_path / "whole.jsonl", SilentReporter())
    unfinished = tmp_path / ".crops.jsonl.unfinished"
    kept = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, folder, file], start_new_session=True)
        while process.poll() is None and len(known_boxes(unfinished, DETECTOR)) < kept + 5:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert len(known_boxes(unfinished, DETECTOR)) >= kept + 5
        kept = len(known_boxes(unfinished, DETECTOR))
        with unfinished.open("ab") as torn:
            torn.write(b'{"boxes":[[1,2')
    searched = []
    in_row = find._find_in_row
    monkeypatch.setattr(find, "_find_in_row", lambda *given: searched.append(given[-1].key) or in_row(*given))
    assert complete_crops(manifest, lambda: folder, file, SilentReporter(), 1) == whole
    assert len(searched) == 40 - kept
    assert file.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not unfinished.exists()


def test_crops_are_saved_as_they_are_encoded(scenes, tmp_path):
    cropped = complete_crops(build_manifest(scenes), lambda: scenes, tmp_path / "crops.jsonl", SilentReporter())
    assert save_crops(cropped, scenes, tmp_path / "saved", SilentReporter()) == 2
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [f"{n}.png" for n in (0, 1, 3, 4, 5)]
    ((left, top, right, bottom),) = boxes_of(cropped)["3.png"]
    sliced = np.asarray(Image.open(scenes / "3.png"))[top:bottom, left:right]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "saved/3.png")), sliced)
    with pytest.raises(DataError, match="the manifest has no boxes"):
        save_crops(build_manifest(scenes), scenes, tmp_path / "saved", SilentReporter())


def test_rows_with_the_same_content_have_the_same_face(scenes, tmp_path):
    (scenes / "copy.png").write_bytes((scenes / "0.png").read_bytes())
    manifest = build_manifest(scenes)
    boxes = boxes_of(complete_crops(manifest, lambda: scenes, tmp_path / "crops.jsonl", SilentReporter()))
    assert boxes["copy.png"] == boxes["0.png"]
    lines = (tmp_path / "crops.jsonl").read_text().splitlines()
    assert len(lines) == 1 + len(manifest.rows) - 1
    assert json.loads(lines[0])["manifest"] == manifest.sha256


def test_another_way_to_read_is_another_search(tmp_path):
    manifest = build_manifest(PHOTO.parent)
    row = manifest.rows[0]
    video = replace(row, path="a.avi", files=("a.avi",) * 4)
    ways = [{"short_clip": "edge"}, {"short_clip": "first"}, {}, {"appearance": "viewed"}]
    keys = {crop_file.row_key(video, replace(manifest, **way)) for way in ways} | {crop_file.row_key(row, manifest)}
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("made", "noted"),
    [
        (lambda k: scene(20 + k, 20), "far from square, such as 400 x 240"),
        (lambda k: scene(20 + k, 60, 90, 256, 256), "the face takes 7 % of the image"),
        (lambda k: Image.open(PHOTO).crop(HEAD).resize((100 + k, 100)), None),
        (lambda k: Image.new("RGB", (200, 200), (k, k, k)), None),
    ],
    ids=["oblong", "small faces", "crops", "nobody"],
)
def test_scenes_in_place_of_face_crops_are_noted(tmp_path, made, noted):
    for number in range(20):
        made(number).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"%!PS")
    manifest = build_manifest(tmp_path)
    note = scene_note(tmp_path, manifest.rows)
    assert (note is None) == (noted is None)
    assert noted is None or noted in note
    boxed = [replace(row, boxes=((0, 0, 9, 9),)) for row in manifest.rows]
    assert scene_note(tmp_path, boxed) is None
