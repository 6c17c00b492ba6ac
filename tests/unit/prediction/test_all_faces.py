"""Every face of a photo: its box, its answer, its place in every kind of output."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expclip_cache.base.errors import SettingsError
from expclip_cache.faces.detector import FaceFinder, can_find_faces
from expclip_cache.prediction.predictor import Predictor

PHOTO = Path(__file__).parents[2] / "data/astronaut.jpg"

pytestmark = pytest.mark.skipif(not can_find_faces(), reason="needs dlib (the extra `face`)")


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Two faces, the larger one on the right."""
    file, photo = tmp_path_factory.mktemp("group") / "group.png", Image.open(PHOTO)
    image = Image.new("RGB", (900, 512))
    image.paste(photo.resize((300, 300)), (0, 40))
    image.paste(photo, (388, 0))
    image.save(file)
    return file


@pytest.fixture(scope="module")
def every_face(head):
    return Predictor(head=head, all_faces=True)


def test_the_largest_face_comes_first_and_each_has_the_answer_of_its_crop(every_face, group, predictor):
    found = every_face(group)
    boxes = [answer.face.box for answer in found.answers]
    assert [left > 388 for left, *_ in boxes] == [True, False]
    assert found.best == found.answers[0].best
    image = Image.open(group)
    for answer in found.answers:
        assert answer.face.found == 2
        np.testing.assert_allclose(
            [percent for _, percent in answer.expclip],
            [percent for _, percent in predictor(image.crop(answer.face.box)).answers[0].expclip],
            atol=1e-3,
        )


def test_a_small_face_beside_a_large_one_is_found():
    """The search for the largest face looks at a smaller image, in which this one has 30 pixels."""
    photo = Image.open(PHOTO)
    image = Image.new("RGB", (1600, 1400))
    image.paste(photo.resize((1400, 1400)), (0, 0))
    image.paste(photo.resize((390, 390)), (1200, 10))
    finder = FaceFinder()
    assert all(face.left < 1200 for face in finder._find(image, 640))
    sizes = [face.right - face.left for face in finder.find_all(image)]
    assert len(sizes) == 2
    assert sizes[0] > 3 * sizes[1]


def test_every_output_names_the_faces(run, group, tmp_path):
    table = tmp_path / "answers.csv"
    answers = run(
        group, "--all-faces", "--json", "--top", "2", "--csv", table, "--save", tmp_path / "copies", crop="--crop"
    )
    lines = [json.loads(line) for line in answers.stdout.splitlines()]
    assert [len(line["expclip"]) for line in lines] == [2, 2]
    assert [len(line["clip"]) for line in lines] == [2, 2]
    rows = list(csv.DictReader(table.open()))
    assert [row["face"] for row in rows] == ["1", "2"]
    for row, line in zip(rows, lines, strict=True):
        assert [int(row[side]) for side in ("left", "top", "right", "bottom")] == line["face"]["box"]
        assert row["best"] == line["best"]
        assert float(row[row["best"]]) == line["expclip"][row["best"]]
    shown = run(group, "--all-faces", "--top", "1", crop="--crop").stdout
    assert "(face 1 of 2, " in shown
    assert "(face 2 of 2, " in shown
    before, after = (np.asarray(Image.open(file).convert("RGB")) for file in (group, tmp_path / "copies/group.png"))
    changed = (before != after).any(axis=2)
    for line in lines:
        left, top, right, bottom = line["face"]["box"]
        assert changed[top:bottom, left].all()
        assert changed[bottom, left:right].all()
        # The face itself is not painted over.
        assert not changed[top + 40 : bottom - 20, left + 20 : right - 20].any()


def test_a_clip_has_no_list_of_faces(run, faces):
    done = run(faces, "--clips", "--all-faces", crop="--crop")
    assert done.exit_code == 1
    assert "leave out --all-faces" in done.stderr


def test_whole_images_have_no_faces(run, group, head):
    refused = run(group, "--all-faces")
    assert "--all-faces needs --crop" in refused.stderr
    with pytest.raises(SettingsError, match="expected crop as well"):
        Predictor(head=head, crop=False, all_faces=True)
