import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from expclip_cache.base.errors import DataError
from expclip_cache.demo.drawing.action_units import EXPRESSIONS
from expclip_cache.demo.drawing.render import render_set
from expclip_cache.demo.drawing.sets import FRAMES, draw_items
from expclip_cache.demo.settings import DemoSetSettings, Style

GOLDEN: dict[Style, tuple[float, ...]] = {
    "clean": (154.66, 141.75, 147.73, 145.99),
    "grey": (158.22, 145.14, 150.91, 148.37),
    "occluded": (130.75, 120.5, 147.73, 145.99),
    "drawing": (173.46, 158.46, 209.41, 206.6),
}
"""Style -> means of the four quarters of item 3 of the set with seed 11."""

PIXELS = [
    ("clean", "images", 100, "dff10590469426e0"),
    ("clean", "clips", 2, "b65fbac9e1c49fac"),
    ("grey", "images", 100, "4536122bcfc55203"),
    ("grey", "clips", 2, "0b41c7edffa9e7e0"),
    ("occluded", "images", 100, "0d0be02e91afb43e"),
    ("occluded", "clips", 2, "c12d558e88f3065e"),
    ("drawing", "images", 100, "a8a47c9525d659aa"),
    ("drawing", "clips", 2, "6dba62f5f4cd5516"),
]
"""Style, kind, count, and the hash of all pixels of the set with seed 12."""


def _quarters(image: np.ndarray) -> tuple[float, ...]:
    halves = [half for rows in np.split(image.astype(float), 2) for half in np.split(rows, 2, axis=1)]
    return tuple(round(float(half.mean()), 2) for half in halves)


def read_rgb(path: Path) -> np.ndarray:
    """(64, 64, 3) uint8."""
    image = cv2.imread(str(path))
    assert image is not None, path
    return image[..., ::-1]


@pytest.mark.parametrize("style", GOLDEN)
def test_faces_equal_the_golden_ones(style):
    image = draw_items(DemoSetSettings(count=4, seed=11, style=style), [3])[0, 0]
    assert _quarters(image) == pytest.approx(GOLDEN[style], abs=0.3)


@pytest.mark.parametrize(("style", "kind", "count", "expected"), PIXELS)
def test_every_pixel_is_the_one_that_the_encoders_were_trained_on(style, kind, count, expected):
    images = draw_items(DemoSetSettings(count=count, seed=12, style=style, kind=kind), range(count))
    assert images.shape == (count, FRAMES if kind == "clips" else 1, 64, 64, 3)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == expected


@pytest.mark.parametrize("kind", ["images", "clips"])
@pytest.mark.parametrize("style", GOLDEN)
def test_faces_do_not_depend_on_what_is_drawn_with_them(style, kind):
    settings = DemoSetSettings(count=40, seed=13, style=style, kind=kind)
    indices = [31, 2, 17] if kind == "clips" else [31, 2, 17, 39, 4, 0, 25]
    together = draw_items(settings, indices)
    for index, images in zip(indices, together, strict=True):
        assert np.array_equal(draw_items(settings, [index])[0], images)


def test_styles_differ_and_grey_is_grey():
    drawn = {
        style: draw_items(DemoSetSettings(count=1, seed=1, style=style), [0])[0, 0].astype(int) for style in GOLDEN
    }
    for one in GOLDEN:
        for other in GOLDEN:
            assert one == other or np.abs(drawn[one] - drawn[other]).mean() > 3
    assert np.ptp(drawn["grey"], axis=2).max() == 0
    assert np.ptp(drawn["drawing"], axis=2).max() < 16


def test_labelled_images_are_in_one_folder_per_expression(tmp_path):
    done = []
    render_set(DemoSetSettings(count=9, seed=4), tmp_path / "set", done.append)
    files = sorted(path.relative_to(tmp_path / "set").as_posix() for path in tmp_path.rglob("*.png"))
    assert files == sorted(f"{EXPRESSIONS[index % 7]}/{index:05d}.png" for index in range(9))
    assert sum(done) == 9
    stored = read_rgb(tmp_path / "set" / "anger" / "00003.png")
    assert np.array_equal(stored, draw_items(DemoSetSettings(count=9, seed=4), [3])[0, 0])


def test_unlabelled_images_are_the_same_faces_in_one_folder(tmp_path):
    render_set(DemoSetSettings(count=3, seed=4, labelled=False), tmp_path / "flat")
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == [
        "00000.png",
        "00001.png",
        "00002.png",
    ]
    render_set(DemoSetSettings(count=3, seed=4), tmp_path / "set")
    assert (tmp_path / "flat" / "00001.png").read_bytes() == (tmp_path / "set/sadness/00001.png").read_bytes()


def test_clips_go_from_neutral_to_the_expression(tmp_path):
    render_set(DemoSetSettings(count=2, seed=4, kind="clips"), tmp_path)
    frames = sorted((tmp_path / "happiness" / "00000").iterdir())
    assert [frame.name for frame in frames] == [f"{number:03d}.png" for number in range(FRAMES)]
    first, second, last = (read_rgb(frames[index]).astype(int) for index in (0, 1, -1))
    assert np.abs(first - last).mean() > np.abs(first - second).mean()


def test_two_processes_write_the_same_files_as_one(tmp_path, monkeypatch):
    settings = DemoSetSettings(count=130, seed=8)
    render_set(settings, tmp_path / "one")
    monkeypatch.setattr("expclip_cache.demo.drawing.render._SMALL", 0)
    render_set(settings, tmp_path / "two")

    def digest(folder):
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
        return len(files), hashlib.sha256(b"".join((folder / name).read_bytes() for name in files)).hexdigest()

    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert digest(tmp_path / "one")[0] == 130


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "old.png").touch()
    with pytest.raises(DataError, match="expected a new or empty folder"):
        render_set(DemoSetSettings(count=1, seed=0), tmp_path)
