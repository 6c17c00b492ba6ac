"""Whether images look like whole scenes where face crops are expected."""

from collections.abc import Iterator, Sequence
from statistics import median

from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import ListedRow, ManifestRow, Root, is_video
from expclip_cache.encoders import decode_image, decode_video, read_listed_file
from expclip_cache.faces.detector import FaceFinder, can_find_faces

LOOKED_AT = 16
"""Images that are decoded."""

SQUARE = 1.25
"""Largest ratio of the longer side to the shorter one of a face crop."""

SHARE = 0.25
"""Smallest part of a face crop's area that is the face."""

PUBLISHED = "The published scores, and the reference's head, are those of face crops"


def scene_note(root: Root, rows: Sequence[ListedRow | ManifestRow]) -> str | None:
    """A note if images look like scenes: most are far from square, or their faces are small.

    Looks at a few images, spread over the rows; those that cannot be decoded, and those with a box, do not count. The
    faces are looked for only if the detector is installed.
    """
    images = list(_sample(root, rows))
    oblong = [image for image in images if max(image.size) > SQUARE * min(image.size)]
    if 2 * len(oblong) > len(images):
        width, height = oblong[0].size
        return (
            f"{len(oblong)} of {len(images)} images that were looked at are far from square, such as {width} x "
            f"{height}: these look like whole scenes. {PUBLISHED}"
        )
    if not can_find_faces():
        return None
    finder = FaceFinder()
    faces = [(image, face) for image in images if (face := finder.find_large(image))]
    shares = [
        (face.right - face.left) * (face.bottom - face.top) / (image.width * image.height) for image, face in faces
    ]
    if 2 * len(shares) <= len(images) or median(shares) >= SHARE:
        return None
    return (
        f"in {len(shares)} of {len(images)} images that were looked at, the face takes {100 * median(shares):.0f} % of "
        f"the image or so: these look like whole scenes. {PUBLISHED}"
    )


def _sample(root: Root, rows: Sequence[ListedRow | ManifestRow]) -> Iterator[Image.Image]:
    step = max(1, -(-len(rows) // LOOKED_AT))
    for row in (row for row in rows[::step] if not row.boxes):
        name = row.files[0]
        try:
            if is_video(name):
                with (root / name).open("rb") as video:
                    yield from decode_video(video, 1, "edge")
            else:
                yield decode_image(read_listed_file(root, name), "viewed")
        except (DataError, OSError):
            continue
