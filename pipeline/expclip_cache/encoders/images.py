"""An image file -> its pixels, or the square of them that an encoder takes."""

import errno
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from expclip_cache.base import DataError, FileAccessError
from expclip_cache.datasets import (
    FULL,
    NO_FACE,
    Address,
    Appearance,
    Box,
    Root,
    contained_file,
    orientation_of,
    white_of,
)
from expclip_cache.encoders.preprocess import MAX_PIXELS, Preprocess, to_square

# Pillow warns about large images before it refuses them; our own limit is checked for each of them. For the whole
# process: threads share what is ignored.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

MAX_TEXT = 64 * 1024**2
"""Largest text or colour profile in a PNG, in bytes."""

MAX_BYTES = 1024**3
"""Largest file that is read, in bytes: an image of `MAX_PIXELS` without any compression has fewer."""

TOO_LARGE = f"more than {MAX_BYTES:,} bytes, the largest file that is read"

BLOCK = 1 << 20
"""Pixels whose values are converted at once."""

HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypheis", b"ftypmif1", b"ftypmsf1")
"""What follows the first four bytes of a HEIC image."""

FORMATS: tuple[str, ...] = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are decoded, whatever a file is called. Others of its plugins start programs
(Ghostscript for PostScript) or are rarely tested. AVIF and HEIC are decoded too where Pillow and pillow-heif can."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by the number in its metadata."""

OF_THE_BYTES = {errno.EINVAL, errno.EOVERFLOW, errno.EFBIG}
"""Error numbers that a decoder gets when a broken file sends it to a place that no file can have. All others are the
machine's."""


def read_pixels(path: str | Path, how: Preprocess) -> np.ndarray:
    """Read, decode and resize one image: (3, size, size) uint8, RGB.

    Raises:
        DataError: see `read_file` and `decode_pixels`.
    """
    return decode_pixels(read_file(path), how)


def read_file(path: str | Path) -> bytes:
    """The bytes of an image file.

    Raises:
        FileAccessError: the file cannot be read at the moment, whatever its bytes are.
        DataError: it is larger than `MAX_BYTES`. Both have the reason on one line; nothing else is raised.
    """
    with one_line_errors(path):
        # Opening a FIFO or a device named x.jpg would block forever.
        if not Path(path).is_file():
            raise FileAccessError("is not a file" if Path(path).exists() else "does not exist")
        with Path(path).open("rb", buffering=0) as file:
            # Reading up to the limit would allocate a gigabyte for every image: ten times what a small one takes.
            size = os.fstat(file.fileno()).st_size
            content = file.read() if size <= MAX_BYTES else b""
    if size > MAX_BYTES or len(content) > MAX_BYTES:
        raise DataError(TOO_LARGE)
    return content


def read_listed_file(root: Root, name: str) -> bytes:
    """The bytes of a file of a manifest: one of its own, or one inside a tar shard or Parquet file.

    Args:
        root: folder or address of the images.
        name: relative to it.

    Raises:
        AddressAccessError: the store cannot be reached, or refuses.
        FileAccessError, DataError: see `read_file`.
    """
    path = root / name
    with one_line_errors(path):
        inside = contained_file(root, name, MAX_BYTES)
        if inside is None:
            if not isinstance(path, Address):
                return read_file(path)
            inside = path.read(0, MAX_BYTES + 1)
    if len(inside) > MAX_BYTES:
        raise DataError(TOO_LARGE)
    return inside


def decode_pixels(content: bytes, how: Preprocess, appearance: Appearance = "stored") -> np.ndarray:
    """Decode and resize one image: RGB.

    Args:
        content: of its file.
        appearance: the reference takes images as they are stored.

    Returns:
        (3, size, size) uint8, RGB.

    Raises:
        FileAccessError: there is not enough memory.
        DataError: it is not an image that can be decoded. Both have the reason on one line; nothing else is raised.
    """
    with _decoding(content) as image:
        if how.decode == "draft":
            # Only the JPEG decoder supports this; for other formats it does nothing.
            image.draft(None, (2 * how.size, 2 * how.size))
        return to_square(_pixels(image, appearance), how)


def decode_image(content: bytes, appearance: Appearance = "stored") -> Image.Image:
    """Decode one image at full size, RGB: what a box refers to.

    Raises:
        FileAccessError, DataError: see `decode_pixels`.
    """
    with _decoding(content) as image:
        return _pixels(image, appearance)


def cropped(image: Image.Image, box: Box) -> Image.Image:
    """The part of an image that is in a box.

    Raises:
        DataError: there is none.
    """
    if box == NO_FACE:
        raise DataError("no face was found in it")
    left, top, right, bottom = box
    right, bottom = min(right, image.width), min(bottom, image.height)
    if left >= right or top >= bottom:
        raise DataError(f"the box of its face {box} is outside the image of {image.width} x {image.height}")
    return image.crop((left, top, right, bottom))


def read_image(path: str | Path) -> Image.Image:
    """Decode one image at full size, RGB, as a viewer shows it.

    Raises:
        DataError: see `read_file` and `decode_pixels`.
    """
    return decode_image(read_file(path), "viewed")


def as_viewed(image: Image.Image) -> Image.Image:
    """An opened image, RGB, as a viewer shows it.

    Raises:
        FileAccessError, DataError: see `decode_pixels`.
    """
    with one_line_errors(image):
        _refuse_large(image)
        return _pixels(image, "viewed")


def _pixels(image: Image.Image, appearance: Appearance) -> Image.Image:
    """The pixels of an opened image, RGB."""
    if appearance == "stored":
        return _rgb(image)
    turn = TURNS.get(orientation_of(image))
    white = white_of(image) if image.mode.startswith("I;16") else FULL
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    upright = _rgb(image, white)
    return upright if turn is None else upright.transpose(turn)


@contextmanager
def _decoding(content: bytes) -> Iterator[Image.Image]:
    """An image; any error of the decoder inside the block becomes a DataError."""
    stream, formats = io.BytesIO(content), _formats()
    if content[4:12] in HEIC and "HEIF" not in formats:
        raise DataError("is a HEIC image, which needs pillow-heif (pip install 'expclip-cache[heic]')")
    with one_line_errors(stream), Image.open(stream, formats=formats) as image:
        _refuse_large(image)
        yield image


def _refuse_large(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"{image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} that are decoded at most")


@cache
def _formats() -> tuple[str, ...]:
    """The formats that can be decoded here."""
    # Long texts and colour profiles are no reason to refuse an image; there is still a limit for bombs.
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT
    found: list[str] = [*FORMATS]
    with suppress(ImportError):
        from PIL import AvifImagePlugin

        if AvifImagePlugin.SUPPORTED:
            found.append("AVIF")
    with suppress(ImportError, OSError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found.append("HEIF")
    return tuple(found)


@contextmanager
def one_line_errors(source: object) -> Iterator[None]:
    """Any error inside the block becomes a DataError; `source` is left out of its message."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise all kinds of errors for broken files
        number = error.errno if isinstance(error, OSError) else None
        of_the_machine = isinstance(error, MemoryError) or (number is not None and number not in OF_THE_BYTES)
        raised = FileAccessError if of_the_machine else DataError
        raise raised(f"{type(error).__name__}: {_without(source, str(error))}") from None


def _rgb(image: Image.Image, white: int = FULL) -> Image.Image:
    """To 8-bit RGB. 16-bit grey and fractions are scaled; Pillow's own conversion would clip them to white.

    Args:
        white: the value of white in 16-bit grey.

    Raises:
        DataError: the format does not say what the numbers mean: 32-bit numbers that do not fit into 16 bits, or values
            that are no numbers.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        lowest, highest = values.min(initial=0), values.max(initial=0)
        if not np.isfinite(lowest) or not np.isfinite(highest):
            raise DataError("has pixels that are not finite numbers")
        if image.mode != "F" and not 0 <= lowest <= highest <= 65535:
            raise DataError(
                f"has pixels from {lowest} to {highest}, and nothing says how bright they are; expected 0 to 65535"
            )
        top = float(white) if image.mode != "F" else max(float(highest), 1.0)
        grey = np.empty(values.shape, dtype=np.uint8)
        # Some rows at a time: the intermediate numbers take eight times the memory of the image.
        step = max(1, BLOCK // max(1, image.width))
        for start in range(0, len(values), step):
            block = values[start : start + step].astype(np.float64)
            grey[start : start + step] = (block.clip(0, top) * (255.0 / top)).round()
        image = Image.fromarray(grey)
    return image.convert("RGB")


def _without(source: object, message: str) -> str:
    """Pillow's message without the file: the caller records it, and a path or an address means nothing elsewhere."""
    return message.replace(f" {str(source)!r}", "").replace(f" {source}", "").strip() or "unreadable"
