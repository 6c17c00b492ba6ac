"""Videos and crops in an extraction, with a real, tiny CLIP: against frames on disk, plain slicing and one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.datasets.boxes import NO_FACE
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.manifest_file import read_manifest, write_manifest
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.preprocess import to_square
from expclip_cache.extraction.folder import extract
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip
from videos import moving_frames, read_with_opencv, write_video

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=32, workers=0)
LENGTHS = (3, 16, 17, 40)
BOXES = [(2, 3, 20, 21), (0, 0, 24, 30), (10, 5, 24, 30), (10, 5, 400, 300), NO_FACE, (30, 5, 40, 9)]
"""Left, top, right, bottom; the images are 24 x 30. The fourth ends outside, the last begins there."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def clips(tmp_path):
    """The same clips as videos and as folders with the frames that OpenCV reads from them."""
    for number, count in enumerate(LENGTHS):
        for class_name in ("happy", "fear"):
            file = tmp_path / f"videos/{class_name}/{number}.avi"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_video(file, moving_frames(count, seed=number))
            folder = tmp_path / f"frames/{class_name}/{number}"
            folder.mkdir(parents=True)
            for frame, pixels in enumerate(read_with_opencv(file)):
                Image.fromarray(pixels).save(folder / f"{frame}.png")
    return tmp_path


@pytest.mark.parametrize("rule", ["edge", "first"])
def test_videos_and_their_frames_give_the_same_features(clips, model, rule):
    caches = {}
    for form in ("videos", "frames"):
        settings = DatasetSettings(source=str(clips / form), layout="frame-folders", short_clip=rule, frames=8)
        caches[form] = extract(clips / form, clips / f"out-{form}", model, layout=settings, cache=CACHE, run=RUN)
    np.testing.assert_array_equal(caches["videos"][:], caches["frames"][:])
    assert np.ptp(caches["videos"][:], axis=0).min() > 0


def test_the_rule_for_short_videos_belongs_to_the_manifest(clips):
    made = {}
    for rule in ("edge", "first"):
        settings = DatasetSettings(source=str(clips / "videos"), layout="frame-folders", short_clip=rule)
        made[rule] = build_manifest(clips / "videos", settings)
        write_manifest(made[rule], clips / f"{rule}.arrow")
        assert read_manifest(clips / f"{rule}.arrow") == made[rule]
    assert made["edge"].rows == made["first"].rows
    assert made["edge"].sha256 != made["first"].sha256
    assert made["edge"].short_clip == "edge"


def test_a_video_that_cannot_be_decoded_is_skipped_with_its_reason(clips, model):
    (clips / "videos/fear/1.avi").write_bytes(b"<html>")
    cache = extract(clips / "videos", clips / "out", model, layout="frame-folders", cache=CACHE, run=RUN)
    (row,) = cache.skipped
    assert cache.skipped[row].startswith("fear/1.avi: not a video in a known format")
    assert len(cache) == 8


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(1)
    for number in range(len(BOXES)):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pixels", [None, "kept"])
def test_boxes_are_plain_slices(photos, model, workers, pixels, tmp_path_factory):
    manifest = build_manifest(photos)
    rows = tuple(replace(row, boxes=(box,)) for row, box in zip(manifest.rows, BOXES, strict=True))
    cropped = replace(manifest, rows=rows)
    run = RunSettings(device="cpu", batch_size=3, workers=workers, pixels=pixels and photos / pixels)
    out = tmp_path_factory.mktemp("out")
    for _ in range(2 if pixels else 1):
        cache = extract(photos, out / "cropped", model, manifest=cropped, cache=CACHE, run=run)
        assert cache.skipped == {
            4: "no face was found in it",
            5: "the box of its face (30, 5, 40, 9) is outside the image of 24 x 30",
        }
    encoder = load_clip(model, torch.device("cpu"))
    for number, (left, top, right, bottom) in enumerate(BOXES[:4]):
        sliced = np.asarray(Image.open(photos / f"{number}.png"))[top:bottom, left:right]
        square = torch.from_numpy(to_square(Image.fromarray(sliced), encoder.preprocess))[None]
        np.testing.assert_allclose(cache[[number]][0], encoder.encode_images(square)[0], atol=1e-5)
    whole = extract(photos, out / "whole", model, manifest=manifest, cache=CACHE, run=RUN)
    np.testing.assert_allclose(whole[[1]], cache[[1]], atol=1e-5)
    assert cropped.sha256 != manifest.sha256


@pytest.mark.parametrize(
    "boxes",
    [((1, 2, 3, 4), (1, 2, 3, 4)), ((1, 2, 3),), ((3, 2, 1, 4),), ((-1, 2, 3, 4),), ((1, 2, 1, 4),)],
)
def test_impossible_boxes_are_refused_in_a_manifest(photos, boxes, tmp_path):
    manifest = build_manifest(photos)
    rows = (replace(manifest.rows[0], boxes=boxes), *manifest.rows[1:])

    def read_back() -> None:
        write_manifest(replace(manifest, rows=rows), tmp_path / "manifest.arrow")
        list(read_manifest(tmp_path / "manifest.arrow").rows)

    with pytest.raises(DataError, match=r"(row 0 \('0.png'\) has 1 files and the boxes|values that no row can have)"):
        read_back()


def test_boxes_survive_the_manifest(photos, tmp_path):
    manifest = build_manifest(photos)
    rows = tuple(replace(row, boxes=(box,)) for row, box in zip(manifest.rows, BOXES, strict=True))
    write_manifest(replace(manifest, rows=rows), tmp_path / "manifest.arrow")
    assert read_manifest(tmp_path / "manifest.arrow").rows == rows


def test_each_frame_of_a_video_has_its_own_box(clips, model):
    """Against frames that were cropped by hand before they were encoded."""
    settings = DatasetSettings(source=str(clips / "videos"), layout="frame-folders", frames=4)
    manifest = build_manifest(clips / "videos", settings)
    boxes = ((0, 0, 20, 20), (5, 5, 40, 40), (0, 0, 64, 48), (30, 10, 60, 40))
    rows = tuple(replace(row, boxes=boxes) for row in manifest.rows)
    cropped = replace(manifest, rows=rows)
    cache = extract(clips / "videos", clips / "out", model, manifest=cropped, cache=CACHE, run=RUN)
    encoder = load_clip(model, torch.device("cpu"))
    frames = read_with_opencv(clips / "videos/fear/3.avi")
    crops = [
        frames[index][top:bottom, left:right]
        for index, (left, top, right, bottom) in zip((5, 15, 25, 35), boxes, strict=True)
    ]
    squares = np.stack([to_square(Image.fromarray(crop), encoder.preprocess) for crop in crops])
    expected = encoder.encode_images(torch.from_numpy(squares)).mean(dim=0)
    row = [row.path for row in manifest.rows].index("fear/3.avi")
    np.testing.assert_allclose(cache[[row]][0], expected, atol=1e-5)


def test_faces_that_nobody_has_looked_for_are_not_passed_over_in_silence(photos, model, tmp_path):
    settings = DatasetSettings(source="x", layout="image-folders", labelled=False, crop="detect")
    with pytest.raises(SettingsError, match=r"crop is detect, but the faces have not been found.*complete_crops"):
        extract(photos, tmp_path / "out", model, layout=settings)
