"""FER2013's table of pixels -> the image folders FER+ speaks of. Run once, by hand."""

import csv
from pathlib import Path

from expclip_cache.base import DataError

FOLDER_OF = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
"""Usage in both tables -> folder, named as the FER+ authors do."""
SIDE = 48


def write_images(pixels: Path, votes: Path, out: Path) -> int:
    """Write every image of FER2013 that FER+ names, as an 8-bit grey PNG of 48 x 48 pixels.

    The tables have the same rows in the same order; FER+ gives the names.

    Args:
        pixels: fer2013.csv, columns emotion, pixels, Usage.
        votes: fer2013new.csv of FER+.
        out: gets the folders FER2013Train, FER2013Valid and FER2013Test.

    Returns:
        How many images were written.

    Raises:
        DataError: a table is missing, the two do not belong together, or a row is no image.
    """
    import numpy as np
    from PIL import Image

    for folder in FOLDER_OF.values():
        (out / folder).mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        with pixels.open(newline="") as images, votes.open(newline="", encoding="utf-8-sig") as names:
            pairs = zip(csv.DictReader(images), csv.DictReader(names), strict=True)
            for number, (image, entry) in enumerate(pairs, start=2):
                usage = image.get("Usage")
                if usage not in FOLDER_OF or usage != entry.get("Usage"):
                    raise DataError(
                        f"{pixels}, line {number}: Usage is {usage!r} here and {entry.get('Usage')!r} in "
                        f"{votes}; expected the same one of {', '.join(FOLDER_OF)} in both."
                    )
                if name := entry["Image name"]:
                    grey = np.array(image["pixels"].split(), dtype=np.uint8).reshape(SIDE, SIDE)
                    Image.fromarray(grey).save(out / FOLDER_OF[usage] / name)
                    written += 1
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read or written ({error.strerror}).") from None
    except (KeyError, ValueError, OverflowError) as error:
        raise DataError(f"{pixels} and {votes}: are not the two tables expected, row by row: {error}.") from None
    return written
