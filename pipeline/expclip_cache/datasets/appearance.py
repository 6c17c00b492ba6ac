"""Images that look different in a viewer: they are stored on their side, mirrored, or with transparent parts."""

import io
import warnings
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

# Pillow's reader of metadata warns about damaged ones. For the whole process: threads share what is ignored.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

Appearance = Literal["viewed", "stored"]
"""`viewed`: turned as the metadata say, transparent parts on white. `stored`: the pixels as they are in the file, which
is what the reference takes; whatever is hidden under transparent parts shows."""

_TAG = 0x0112
_SIGNS = (b"Exif\0\0", b"eXIf", b"EXIF", b"tiff:Orientation", b"irot", b"imir")
"""What a JPEG, PNG, WebP or AVIF holds if its metadata may say how to turn it; others are turned by their decoders."""

_PNG = b"\x89PNG\r\n\x1a\n"


def orientation_of(image: "Image.Image") -> int:
    """The number from 1 (as stored) to 8 in an image's metadata; 1 if there is none, or it makes no sense.

    Metadata are often damaged, and say nothing about the pixels.
    """
    try:
        value = image.getexif().get(_TAG, 1)
    except Exception:  # noqa: BLE001 - Pillow raises all kinds of errors for damaged metadata
        return 1
    return value if value in range(1, 9) else 1


def looks_different_in_a_viewer(start: bytes) -> bool:
    """Whether the image that begins with these bytes looks different in a viewer."""
    return _is_turned(start) or _has_transparency(start)


def _is_turned(start: bytes) -> bool:
    if not any(sign in start for sign in _SIGNS):
        return False
    from PIL import Image

    try:
        with Image.open(io.BytesIO(start), formats=("JPEG", "PNG", "WEBP", "AVIF")) as image:
            return orientation_of(image) != 1
    except Exception:  # noqa: BLE001 - as above; the extraction says what is wrong with the file
        return False


def _has_transparency(start: bytes) -> bool:
    """Whether a PNG, WebP, AVIF or HEIC has an alpha channel or a transparent colour."""
    if start[4:8] == b"ftyp":
        return b"auxiliary:alpha" in start
    if start.startswith(_PNG) and len(start) > 25:
        return start[25] in (4, 6) or b"tRNS" in start.partition(b"IDAT")[0]
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP" and len(start) > 24:
        extended, lossless = start[12:16] == b"VP8X", start[12:16] == b"VP8L"
        return bool((extended and start[20] & 0x10) or (lossless and start[24] & 0x10))
    return False
