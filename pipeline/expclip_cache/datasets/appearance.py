"""Images that look different in a viewer: stored on their side, mirrored, with transparent parts, or in 12 bits."""

import io
import warnings
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

# Pillow's reader of metadata warns about damaged ones. For the whole process: threads share what is ignored.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

Appearance = Literal["viewed", "stored"]
"""`viewed`: turned as the metadata say, transparent parts on white, and white where the file says that it is.
`stored`: the pixels as they are in the file, which is what the reference takes; whatever is hidden under transparent
parts shows."""

FULL = 65535
"""White in 16 bits."""

_TAG = 0x0112
_ORIENTATION = (b"Exif\0\0", b"eXIf", b"tiff:Orientation")
"""What the metadata of a JPEG or PNG hold if they may say how to turn the image."""

_PNG = b"\x89PNG\r\n\x1a\n"
_TAIL = 1 << 16
"""Bytes at the end of a PNG that are searched for metadata too."""


def orientation_of(image: "Image.Image") -> int:
    """The number from 1 (as stored) to 8 in an image's metadata; 1 if there is none, or it makes no sense.

    Metadata are often damaged, and say nothing about the pixels.
    """
    try:
        value = image.getexif().get(_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow raises all kinds of errors for damaged metadata
        return 1
    return value if value in range(1, 9) else 1


def white_of(image: "Image.Image") -> int:
    """The value of white in a grey image of more than 8 bits: a TIFF may say that it uses 10 or 12 of 16.

    65535 if the image does not say so.
    """
    try:
        tags = image.getexif()
        # The largest value of a sample, or else the bits of one.
        white = tags.get(281) or (1 << tags.get(258, 16)) - 1
    except Exception:  # noqa: BLE001 - as above
        return FULL
    return white if isinstance(white, int) and 255 < white < FULL else FULL


def looks_different_in_a_viewer(start: bytes) -> bool:
    """Whether the image that begins with these bytes looks different in a viewer."""
    return _is_turned(start) or _has_transparency(start) or _is_dim(start)


def _is_turned(start: bytes) -> bool:
    if not _may_be_turned(start):
        return False
    from PIL import Image

    try:
        with Image.open(io.BytesIO(start), formats=("JPEG", "PNG", "WEBP", "AVIF")) as image:
            return orientation_of(image) != 1
    except Exception:  # noqa: BLE001 - as above; the extraction says what is wrong with the file
        return False


def _is_dim(start: bytes) -> bool:
    if start[:4] not in (b"II*\0", b"MM\0*"):
        return False
    from PIL import Image

    try:
        with Image.open(io.BytesIO(start), formats=("TIFF",)) as image:
            return image.mode.startswith("I;16") and white_of(image) < FULL
    except Exception:  # noqa: BLE001 - as above
        return False


def _may_be_turned(start: bytes) -> bool:
    """Whether there are metadata to be parsed; of the pixels as little as possible is searched, as it takes long."""
    if start.startswith(b"\xff\xd8"):
        metadata = _before(start, b"\xff\xda")
    elif start.startswith(_PNG):
        metadata = _before(start, b"IDAT") + start[-_TAIL:]
    elif _is_webp(start):
        return start[12:16] == b"VP8X" and bool(start[20] & 0x0C)
    else:
        # An AVIF has a box for it. HEICs are turned by their decoder, as TIFFs are.
        return start[4:8] == b"ftyp"
    return any(sign in metadata for sign in _ORIENTATION)


def _has_transparency(start: bytes) -> bool:
    """Whether a PNG, WebP, AVIF or HEIC has an alpha channel or a transparent colour."""
    if start[4:8] == b"ftyp":
        return b"auxiliary:alpha" in _before(start, b"mdat")
    if start.startswith(_PNG) and len(start) > 25:
        return start[25] in (4, 6) or b"tRNS" in _before(start, b"IDAT")
    if _is_webp(start):
        extended, lossless = start[12:16] == b"VP8X", start[12:16] == b"VP8L"
        return bool((extended and start[20] & 0x10) or (lossless and start[24] & 0x10))
    return False


def _is_webp(start: bytes) -> bool:
    return start[:4] == b"RIFF" and start[8:12] == b"WEBP" and len(start) > 24


def _before(start: bytes, mark: bytes) -> bytes:
    """The bytes before a mark; all if it is not there."""
    place = start.find(mark)
    return start if place < 0 else start[:place]
