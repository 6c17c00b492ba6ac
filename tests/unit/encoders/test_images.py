"""Decoding and preprocessing compared with plain Pillow and NumPy, for every kind of image file."""

import errno
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torchvision.transforms import Compose

from expclip_cache.base.errors import DataError, FileAccessError
from expclip_cache.datasets.build import build_manifest
from expclip_cache.encoders import images
from expclip_cache.encoders.images import read_image, read_pixels
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.encoders.preprocess import CLIP_MEAN, CLIP_STD, preprocess, to_float, to_square
from expclip_cache.encoders.settings import ClipSettings

REFERENCE = preprocess("reference", 32)


@pytest.fixture
def image_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    return path


def test_reference_preprocessing_is_a_bilinear_stretch(image_file):
    expected = np.asarray(Image.open(image_file).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)).transpose(
        2, 0, 1
    )
    np.testing.assert_array_equal(read_pixels(image_file, REFERENCE), expected)


def test_clip_preprocessing_equals_open_clips(image_file):
    transform = cast(Compose, image_transform(32, is_train=False, mean=CLIP_MEAN, std=CLIP_STD))
    theirs = transform(Image.open(image_file))
    how = preprocess("clip", 32)
    (ours,) = to_float(torch.from_numpy(read_pixels(image_file, how))[None], how)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_reference_floats_are_in_zero_to_one():
    values = to_float(torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1), preprocess("reference", 1))
    assert values.flatten().tolist() == pytest.approx([0, 0.2, 1])


def saved(folder, image, name, **options):
    image.save(folder / name, **options)
    return folder / name


def test_every_mode_becomes_rgb(tmp_path):
    grey = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (40, 1))
    expected = read_pixels(saved(tmp_path, Image.fromarray(grey), "l.png"), REFERENCE)
    variants = {
        "palette.png": Image.fromarray(grey).convert("P"),
        "alpha.png": Image.fromarray(grey).convert("RGBA"),
        "cmyk.tif": Image.fromarray(grey).convert("RGB").convert("CMYK"),
        "sixteen.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "float.tif": Image.fromarray(grey.astype(np.float32) / 255),
    }
    for name, image in variants.items():
        found = read_pixels(saved(tmp_path, image, name), REFERENCE).astype(int)
        assert np.abs(found - expected).max() <= 1, name


def test_exif_orientation_is_ignored_as_in_the_reference(tmp_path, image_file):
    rotated = Image.Exif()
    rotated[0x0112] = 6
    path = saved(tmp_path, Image.open(image_file), "rotated.jpg", exif=rotated, quality=95)
    plain = saved(tmp_path, Image.open(image_file), "plain.jpg", quality=95)
    np.testing.assert_array_equal(read_pixels(path, REFERENCE), read_pixels(plain, REFERENCE))


def png_bomb(path, side):
    """A valid PNG header that declares side x side pixels; the file itself stays tiny."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100_000)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def bad_files(tmp_path, image_file):
    Image.open(image_file).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    png_bomb(tmp_path / "bomb.png", 60_000)
    return {
        "truncated.jpg": "truncated",
        "empty.jpg": "cannot identify",
        "text.jpg": "cannot identify",
        "folder.jpg": "is not a file",
        "dangling.jpg": "does not exist",
        "absent.jpg": "does not exist",
        "pipe.jpg": "is not a file",
        "bomb.png": "60000 x 60000 pixels|bomb",
    }


def test_a_bad_file_gives_its_reason_on_one_line_without_the_path(tmp_path, image_file):
    for name, reason in bad_files(tmp_path, image_file).items():
        with pytest.raises(DataError, match=reason) as caught:
            read_pixels(tmp_path / name, REFERENCE)
        assert str(tmp_path) not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_trouble_of_the_machine_is_told_from_bad_bytes(tmp_path, image_file, monkeypatch):
    of_the_machine = {"folder.jpg", "dangling.jpg", "absent.jpg", "pipe.jpg"}
    for name in bad_files(tmp_path, image_file):
        with pytest.raises(DataError) as caught:
            read_pixels(tmp_path / name, REFERENCE)
        assert isinstance(caught.value, FileAccessError) == (name in of_the_machine), name

    def counts_as_trouble(error):
        def load(*_):
            raise error

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
        with pytest.raises(DataError) as caught:
            read_pixels(image_file, REFERENCE)
        return isinstance(caught.value, FileAccessError)

    for number in (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT):
        assert counts_as_trouble(OSError(number, "trouble"))
    assert counts_as_trouble(MemoryError())
    for error in (OSError("image file is truncated"), OSError(errno.EINVAL, "a seek to nowhere"), ValueError("bad")):
        assert not counts_as_trouble(error)


def test_only_formats_of_photographs_are_decoded_whatever_the_name(tmp_path, monkeypatch):
    """Pillow's plugin for PostScript starts Ghostscript."""
    (tmp_path / "a.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "EPS"
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    for read in (partial(read_pixels, how=REFERENCE), read_image):
        with pytest.raises(DataError, match="cannot identify image file"):
            read(tmp_path / "a.jpg")
    for kind in ("bmp", "gif", "jpeg", "jpeg2000", "mpo", "png", "ppm", "tiff", "webp"):
        Image.new("RGB", (9, 9), "teal").save(tmp_path / "b.jpg", format=kind)
        assert read_pixels(tmp_path / "b.jpg", REFERENCE).shape == (3, 32, 32)


def large_jpeg(folder, side, noise):
    """The astronaut, enlarged, with sensor noise."""
    with Image.open(Path(__file__).parents[2] / "data" / "astronaut.jpg") as image:
        large = np.asarray(image.convert("RGB").resize((side, side * 3 // 4), Image.Resampling.LANCZOS))
    grain = np.random.default_rng(0).normal(0, noise, large.shape)
    path = folder / f"{side}-{noise}.jpg"
    Image.fromarray((large + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return path


@pytest.mark.parametrize("kind", ["reference", "clip"])
@pytest.mark.parametrize(("noise", "most", "mean"), [(0, 4, 0.4), (10, 5, 0.6), (60, 12, 1.5)])
def test_draft_decoding_of_a_large_jpeg_stays_close_to_full_decoding(tmp_path, kind, noise, most, mean):
    path = large_jpeg(tmp_path, 2000, noise)
    full, draft = (read_pixels(path, preprocess(kind, 224, decode)).astype(int) for decode in ("full", "draft"))
    difference = np.abs(full - draft)
    assert 0 < difference.max() <= most
    assert difference.mean() <= mean


@pytest.mark.slow
def test_draft_decoding_changes_nothing_for_a_small_jpeg_or_another_format(tmp_path):
    small, large = large_jpeg(tmp_path, 800, 0), tmp_path / "large.png"
    with Image.open(large_jpeg(tmp_path, 2000, 0)) as image:
        image.save(large)
    for path in (small, large):
        full, draft = (read_pixels(path, preprocess("reference", 224, decode)) for decode in ("full", "draft"))
        np.testing.assert_array_equal(full, draft)


def test_draft_decoding_is_part_of_a_caches_settings_and_full_decoding_is_left_out():
    clip = ClipSettings(model="demo")
    assert "decode" not in clip.image_settings()
    assert clip.model_copy(update={"decode": "draft"}).image_settings()["decode"] == "draft"
    assert clip.model_copy(update={"decode": "draft"}).text_settings() == clip.text_settings()
    llm = LlmSettings(model="demo", instruction="?")
    assert "decode" not in llm.target_settings()
    assert llm.model_copy(update={"decode": "draft"}).target_settings()["decode"] == "draft"


PEAK = """
import resource, sys
from expclip_cache.encoders.images import read_pixels
from expclip_cache.encoders.preprocess import preprocess
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_pixels(sys.argv[1], preprocess(sys.argv[2], 224))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "dtype", "most"),
    [((1, 400_000), np.uint8, 100), ((9_000, 9_000), np.uint16, 800)],
    ids=["long", "16 bit"],
)
def test_a_small_file_needs_little_memory(tmp_path, shape, dtype, most):
    """Scaled as a whole, the long image takes 60 GB; the other took 6 GB for its 80 megapixels."""
    Image.fromarray(np.zeros(shape, dtype=dtype)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 400_000
    run = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "a.png", "clip"], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) / 1024 < most


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_grey_of_more_than_8_bits_is_scaled_as_by_the_formula(tmp_path, mode, monkeypatch):
    monkeypatch.setattr(images, "BLOCK", 100)
    random = np.random.default_rng(0)
    values = random.integers(0, 70_000 if mode == "F" else 65536, (40, 30))
    values = values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
    Image.fromarray(values).save(tmp_path / "a.tiff")
    top = 65535.0 if mode != "F" else float(values.max())
    expected = (values.astype(np.float64).clip(0, top) * (255.0 / top)).round().astype(np.uint8)
    how = replace(preprocess("reference", 30), resize="crop", interpolation="bilinear")
    found = read_pixels(tmp_path / "a.tiff", how)
    # The centre crop of 30 of 40 rows, unscaled.
    assert (found == expected[5:35]).all()


@pytest.mark.parametrize("size", [(1, 400), (700, 3), (5, 2_000), (64 * 28 + 5, 28)])
def test_a_very_long_image_is_cropped_as_if_it_had_been_scaled_as_a_whole(monkeypatch, size):
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    how = preprocess("clip", 28)
    whole = to_square(image, how).astype(int)
    monkeypatch.setattr("expclip_cache.encoders.preprocess.MAX_PIXELS", 1000)
    difference = np.abs(to_square(image, how) - whole)
    # Pillow scales rows and columns in the order that is faster, and cuts off between what is blacker than black.
    assert difference.max() <= 16
    assert difference.mean() < 1


@pytest.mark.parametrize("name", ["a.avif", "a.heic", "a.ppm", "a.jfif"])
def test_what_phones_and_the_web_give_is_decoded(tmp_path, name):
    """Where the format can say so, a photo that is stored on its side; AVIF has a box of its own for it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    pixels = np.zeros((32, 48, 3), dtype=np.uint8)
    pixels[:16] = (200, 40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    if name in ("a.avif", "a.jfif"):
        turned = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
        turned.save(tmp_path / name, "JPEG" if name == "a.jfif" else None, exif=exif)
    else:
        Image.fromarray(pixels).save(tmp_path / name)
    found = np.asarray(read_image(tmp_path / name)).astype(int)
    assert np.abs(found - pixels).max() < 40
    assert np.abs(found - pixels).mean() < 5
    manifest = build_manifest(tmp_path)
    assert [row.path for row in manifest.rows] == [name]
    assert (manifest.appearance == "viewed") == (name in ("a.avif", "a.jfif"))


def test_a_heic_photo_without_its_decoder_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setattr(images, "_formats", lambda: images.FORMATS)
    with pytest.raises(
        DataError, match=r"^is a HEIC image, which needs pillow-heif \(pip install 'expclip-cache\[heic"
    ):
        read_image(tmp_path / "a.heic")
    monkeypatch.undo()
    with pytest.raises(DataError, match="cannot identify image file"):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("kind", ["text", "profile"])
def test_long_metadata_are_no_reason_to_refuse_a_png(tmp_path, kind):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    long = b"a" * 5_000_000
    if kind == "text":
        info = PngInfo()
        info.add_text("comment", long.decode(), zip=True)
        picture.save(tmp_path / "a.png", pnginfo=info)
    else:
        picture.save(tmp_path / "a.png", icc_profile=long)
    assert np.array_equal(read_image(tmp_path / "a.png"), picture)
    assert read_pixels(tmp_path / "a.png", REFERENCE).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[1.0, np.nan]], dtype=np.float32), "pixels that are not finite numbers"),
        (np.array([[1.0, np.inf]], dtype=np.float32), "pixels that are not finite numbers"),
        (np.array([[-np.inf, 0.5]], dtype=np.float32), "pixels that are not finite numbers"),
        (np.array([[7, 65536]], dtype=np.int32), "pixels from 0 to 65536, and nothing says how bright"),
        (np.array([[-1, 200]], dtype=np.int32), "pixels from -1 to 200, and nothing says how bright"),
    ],
)
def test_numbers_that_are_no_brightness_are_refused(tmp_path, values, message):
    Image.fromarray(values.repeat(4, axis=0)).save(tmp_path / "a.tif")
    for read in (partial(read_pixels, how=REFERENCE), read_image):
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.tif")
