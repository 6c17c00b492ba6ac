"""Images on their side or with transparent parts: one rule for every command, and damaged metadata change no pixel."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.manifest_file import read_manifest, write_manifest
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.encoders.images import decode_image, decode_pixels, read_image
from expclip_cache.encoders.preprocess import preprocess
from expclip_cache.extraction.folder import extract
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip

RUN = RunSettings(device="cpu", workers=0)
HOW = preprocess("reference", 28)


def noise(seed: int = 0) -> Image.Image:
    """Different in every corner, wider than high, so that no turn gives the same."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def save(path: Path, image: Image.Image, orientation: int | None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    options = {} if path.suffix != ".webp" else {"lossless": True}
    image.save(path, exif=exif, **options)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_images_are_turned_as_pillow_turns_them(tmp_path, number, suffix):
    file = tmp_path / f"a{suffix}"
    save(file, noise(), number)
    expected = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    np.testing.assert_array_equal(decode_image(file.read_bytes(), "viewed"), expected)
    np.testing.assert_array_equal(read_image(file), expected)
    np.testing.assert_array_equal(decode_image(file.read_bytes()), Image.open(file).convert("RGB"))
    squares = decode_pixels(file.read_bytes(), HOW, "viewed")
    np.testing.assert_array_equal(squares.transpose(1, 2, 0), expected.resize((28, 28), Image.Resampling.BILINEAR))
    manifest = build_manifest(tmp_path)
    assert manifest.appearance == ("viewed" if number > 1 else None)
    assert bool(manifest.notes) == (number > 1)


def settings(appearance: str | None) -> DatasetSettings:
    return DatasetSettings(source="x", layout="image-folders", labelled=False, appearance=appearance)


def test_extract_and_predict_see_the_same_picture(tmp_path):
    model = write_clip(tmp_path / "clip")
    (tmp_path / "photos").mkdir()
    turned = noise().transpose(Image.Transpose.ROTATE_90)
    save(tmp_path / "photos/phone.png", turned, 6)
    save(tmp_path / "photos/plain.png", noise(), None)
    upright = extract(tmp_path / "photos", tmp_path / "upright", model, run=RUN)
    np.testing.assert_array_equal(upright[0], upright[1])
    stored = extract(tmp_path / "photos", tmp_path / "stored", model, layout=settings("stored"), run=RUN)
    assert not np.allclose(stored[0], stored[1], atol=1e-2)
    np.testing.assert_array_equal(stored[1], upright[1])
    run = CliRunner().invoke(app, ["predict", str(tmp_path / "photos"), "--no-crop", "--device", "cpu", "--json"])
    first, second = (json.loads(line)["expclip"] for line in run.stdout.splitlines())
    assert first == second


def test_the_manifest_says_how_and_notes_what(tmp_path):
    (tmp_path / "photos").mkdir()
    save(tmp_path / "photos/a.jpg", noise(), 6)
    save(tmp_path / "photos/b.jpg", noise(1), 1)
    viewed, stored = (build_manifest(tmp_path / "photos", settings(rule)) for rule in ("viewed", "stored"))
    assert viewed.notes == (
        "1 images are on their side, mirrored, with transparent parts or in 10 or 12 bits; used as a viewer shows "
        "them (appearance: viewed): 'a.jpg'",
    )
    assert stored.notes == (
        "1 images are on their side, mirrored, with transparent parts or in 10 or 12 bits; used as they are stored "
        "(appearance: stored): 'a.jpg'",
    )
    assert viewed.rows == stored.rows
    assert viewed.sha256 != stored.sha256
    write_manifest(viewed, tmp_path / "manifest.arrow")
    assert read_manifest(tmp_path / "manifest.arrow") == viewed
    (tmp_path / "photos/a.jpg").unlink()
    plain = [build_manifest(tmp_path / "photos", settings(rule)) for rule in ("viewed", "stored")]
    assert plain[0] == plain[1]
    assert plain[0].appearance is None


def test_a_benchmark_is_used_as_it_is_stored_and_a_folder_of_ones_own_upright():
    assert settings(None).used_appearance == "viewed"
    definition = "pipeline/expclip_cache/datasets/definitions/raf-db.yaml"
    assert DatasetSettings(source=definition).used_appearance == "stored"
    assert DatasetSettings(source=definition, appearance="viewed").used_appearance == "viewed"


def with_metadata(content: bytes, metadata: bytes) -> bytes:
    """A JPEG with a block of EXIF metadata after its start."""
    block = b"Exif\0\0" + metadata
    return content[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + content[2:]


ENTRY = b"II*\0\x08\0\0\0\x01\0\x12\x01"
"""The beginning of metadata with one entry, the orientation."""


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"garbage" * 100,
        b"II*\0",
        ENTRY,
        ENTRY + b"\x03\0\x01\0\0\0\x09\0\0\0" + b"\0" * 4,
        ENTRY + b"\x02\0\x02\0\0\0" + b"6\0\0\0" + b"\0" * 4,
        ENTRY + b"\x05\0\x01\0\0\0\xff\xff\xff\xff" + b"\0" * 4,
        ENTRY + b"\x0a\0\xff\xff\xff\x7f\x1a\0\0\0" + b"\0" * 4,
        b"MM\0*\xff\xff\xff\xff",
    ],
    ids=["none", "garbage", "cut", "no entry", "nine", "text", "outside", "huge", "far away"],
)
def test_damaged_metadata_decide_about_no_pixel(tmp_path, metadata):
    save(tmp_path / "plain.jpg", noise(), None)
    content = (tmp_path / "plain.jpg").read_bytes()
    expected = decode_image(content)
    damaged = with_metadata(content, metadata)
    np.testing.assert_array_equal(decode_image(damaged, "viewed"), expected)
    (tmp_path / "plain.jpg").write_bytes(damaged)
    manifest = build_manifest(tmp_path)
    assert manifest.appearance is None
    assert manifest.rows[0].digest is not None


def with_alpha() -> Image.Image:
    """Noise, hidden under all degrees of transparency."""
    alpha = np.linspace(0, 255, 40).astype(np.uint8)[None].repeat(30, axis=0)
    return Image.fromarray(np.dstack([np.asarray(noise()), alpha]))


@pytest.mark.parametrize("name", ["rgba.png", "rgba.webp", "lossy.webp", "grey.png", "palette.png", "colour.png"])
def test_transparent_parts_are_on_white(tmp_path, name):
    """Against the formula: alpha times the colour, and the rest white."""
    image, options = with_alpha(), {}
    if name == "grey.png":
        image = image.convert("LA")
    elif name == "palette.png":
        image = image.convert("RGB").quantize(16)
        options = {"transparency": bytes(range(0, 256, 16))}
    elif name == "colour.png":
        image = image.convert("RGB")
        options = {"transparency": image.getpixel((3, 4))}
    elif name == "rgba.webp":
        options = {"lossless": True, "exact": True}
    image.save(tmp_path / name, **options)
    manifest = build_manifest(tmp_path)
    assert manifest.appearance == "viewed"
    shown = np.asarray(Image.open(tmp_path / name).convert("RGBA")).astype(float)
    share = shown[:, :, 3:] / 255
    expected = share * shown[:, :, :3] + (1 - share) * 255
    content = (tmp_path / name).read_bytes()
    np.testing.assert_allclose(np.asarray(decode_image(content, "viewed")).astype(float), expected, atol=1)
    assert np.abs(np.asarray(decode_image(content)).astype(float) - expected).max() > 50


@pytest.mark.parametrize("name", ["rgb.png", "grey.png", "palette.png", "lossless.webp", "lossy.webp", "plain.jpg"])
def test_images_without_transparent_parts_are_not_noted(tmp_path, name):
    image = noise()
    if name == "grey.png":
        image = image.convert("L")
    elif name == "palette.png":
        image = image.quantize(16)
    image.save(tmp_path / name, **({"lossless": True} if name == "lossless.webp" else {}))
    manifest = build_manifest(tmp_path)
    assert manifest.appearance is None
    assert manifest.notes == ()
    content = (tmp_path / name).read_bytes()
    np.testing.assert_array_equal(decode_image(content, "viewed"), decode_image(content))


def packed_in_12_bits(values: np.ndarray) -> bytes:
    """A TIFF of 12 bits a pixel, written by hand: Pillow reads such files and writes none."""
    pairs = values.reshape(-1, 2).astype(int)
    pixels = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    height, width = values.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: len(pixels)}
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHIHH", tag, 3, 1, start if tag == 273 else value, 0) for tag, value in tags.items()
    )
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + pixels


def with_largest_value(values: np.ndarray) -> bytes:
    """A TIFF of 16 bits a pixel that says how many of them it uses."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = 4095
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", tiffinfo=tags)
    return file.getvalue()


@pytest.mark.parametrize("encode", [packed_in_12_bits, with_largest_value])
def test_twelve_bits_are_as_bright_as_a_viewer_shows_them(tmp_path, encode):
    values = np.linspace(0, 4095, 40 * 30).astype(np.uint16).reshape(30, 40)
    content = encode(values)
    expected = np.round(values * (255 / 4095)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(decode_image(content, "viewed"))[..., 0], expected)
    assert np.asarray(decode_image(content)).max() == 16
    (tmp_path / "a.tif").write_bytes(content)
    manifest = build_manifest(tmp_path)
    assert manifest.appearance == "viewed"
    assert "in 10 or 12 bits; used as a viewer shows them" in manifest.notes[0]


def test_sixteen_bits_are_used_in_full(tmp_path):
    values = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    for suffix in (".tif", ".png"):
        Image.fromarray(values).save(tmp_path / f"a{suffix}")
        for appearance in ("viewed", "stored"):
            assert np.asarray(decode_image((tmp_path / f"a{suffix}").read_bytes(), appearance)).max() == 255
    assert build_manifest(tmp_path).appearance is None
