"""What `Predictor` takes: paths and images in memory, one by one or many at once."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.prediction.sources import to_image


@pytest.fixture(scope="module")
def photo(faces):
    return Image.open(faces / "0.png").convert("RGB")


def percentages(prediction):
    return [percent for _, percent in prediction.answers[0].ranked]


@pytest.mark.parametrize(
    "source",
    [
        lambda photo: photo,
        np.asarray,
        lambda photo: np.asarray(photo) / 255,
        lambda photo: np.dstack([np.asarray(photo), np.full((photo.height, photo.width), 255, np.uint8)]),
        lambda photo: torch.from_numpy(np.array(photo)).permute(2, 0, 1),
        lambda photo: torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255,
        lambda photo: (torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255).requires_grad_(),
    ],
    ids=["PIL", "uint8", "float64", "alpha", "tensor", "float32 tensor", "tensor with a gradient"],
)
def test_an_image_in_memory_has_the_answer_of_its_file(predictor, faces, photo, source):
    found = predictor(source(photo))
    assert percentages(found) == percentages(predictor(faces / "0.png"))
    assert found.path == ""


def test_grey_arrays_are_images(photo):
    grey = photo.convert("L")
    for source in (np.asarray(grey), torch.from_numpy(np.array(grey))):
        assert np.array_equal(np.asarray(to_image(source)), np.asarray(grey.convert("RGB")))


def test_an_image_is_taken_as_a_viewer_shows_it(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    photo.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert np.array_equal(np.asarray(to_image(turned)), np.asarray(photo.rotate(180)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), r"found an array \(2, 8, 8, 3\)\. For several images, use many"),
        (np.zeros((3, 8, 8), np.uint8), r"an array \(h, w\) or \(h, w, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "expected an image"),
        (np.full((8, 8, 3), 255.0), r"numbers from 0 to 1 or uint8, found float64 in \[255"),
        (np.full((8, 8, 3), np.nan), "numbers from 0 to 1"),
        (np.zeros((8, 8, 3), np.int32), "found int32"),
        ([1, 2], "found list. For several images, use many"),
    ],
)
def test_what_is_no_image_is_refused(predictor, source, message):
    with pytest.raises(DataError, match=message):
        predictor(source)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_many_at_once_have_the_answers_of_each(predictor, faces, photo, batch_size):
    """A clip of 16 frames among photos; another size of batch rounds differently."""
    sources = [faces / "1.png", faces, photo, str(faces / "2.png")]
    found = list(predictor.many(iter(sources), batch_size))
    assert [each.frames for each in found] == [1, 16, 1, 1]
    assert [each.path for each in found] == [str(faces / "1.png"), str(faces), "", str(faces / "2.png")]
    for one, source in zip(found, sources, strict=True):
        np.testing.assert_allclose(percentages(one), percentages(predictor(source)), atol=1e-3)


def test_a_source_without_an_answer_does_not_stop_the_others(predictor, faces, tmp_path):
    (tmp_path / "broken.jpg").write_text("hello")
    sources = [faces / "0.png", tmp_path / "broken.jpg", tmp_path / "missing.jpg", np.zeros(3), faces / "1.png"]
    found = list(predictor.many(sources, 2))
    assert [bool(each.answers) for each in found] == [True, False, False, False, True]
    assert [each.best is None for each in found] == [False, True, True, True, False]
    assert "cannot identify" in found[1].reason
    assert found[2].reason == "does not exist"
    assert "expected an image" in found[3].reason


def test_an_endless_generator_is_read_only_a_little_ahead(predictor, photo):
    taken = itertools.count()
    found = predictor.many((photo for _ in taken), 4)
    assert next(found).best == predictor(photo).best
    assert next(taken) < 20
    found.close()
