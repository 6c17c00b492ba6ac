"""Write the image folders that FER+ refers to from FER2013's table of pixels. Run once, by hand."""

import csv
from pathlib import Path

from expclip_cache.base import DataError

FOLDER_OF = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
"""Usage in both tables -> folder, with the names of the FER+ authors."""

SIDE = 48
"""Width and height of the images, in pixels."""


def write_images(pixels: Path, votes: Path, out: Path) -> int:
    """Write every image of FER2013 that FER+ names, as an 8-bit greyscale PNG of 48 x 48 pixels.

    Both tables have the same rows in the same order; FER+ supplies the names.

    Args:
        pixels: fer2013.csv, with columns emotion, pixels, Usage.
        votes: fer2013new.csv of FER+.
        out: where the folders FER2013Train, FER2013Valid and FER2013Test are written.

    Returns:
        Number of images written.

    Raises:
        DataError: a table is missing, the two do not match, or a row does not hold an image.
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
                        f"{pixels}, line {number}: Usage is {usage!r} here and {entry.get('Usage')!r} in {votes}; "
                        f"expected the same in both, one of {', '.join(FOLDER_OF)}."
                    )
                if name := entry["Image name"]:
                    grey = np.array(image["pixels"].split(), dtype=np.uint8).reshape(SIDE, SIDE)
                    Image.fromarray(grey).save(out / FOLDER_OF[usage] / name)
                    written += 1
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read or written ({error.strerror}).") from None
    except (KeyError, ValueError, OverflowError) as error:
        raise DataError(
            f"{pixels} and {votes}: expected fer2013.csv and fer2013new.csv with the same rows, found {error}."
        ) from None
    return written
