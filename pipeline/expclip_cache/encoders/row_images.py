"""The images of a row of a manifest at full size, cropped to its boxes if it has some."""

import io
from collections.abc import Mapping

from PIL import Image

from expclip_cache.base import DataError, FileAccessError
from expclip_cache.datasets import Manifest, ManifestRow, Root, is_video
from expclip_cache.encoders.images import cropped, decode_image
from expclip_cache.encoders.row_files import read_row_files, reason_of, unreadable
from expclip_cache.encoders.videos import decode_video


def read_row_images(manifest: Manifest, root: Root, row_id: int, row: ManifestRow) -> tuple[list[Image.Image], str]:
    """One image per frame of a row, RGB, or the reason why one cannot be read or cropped.

    Of a row without boxes, a frame that it has several times is the same object.

    Args:
        manifest: says how images are read; of its rows nothing is used.
        root: folder or address of the images.

    Raises:
        FileAccessError: a file cannot be read at the moment.
        DataError: the files are not those of the manifest.
    """
    files, reason = read_row_files(manifest.name, root, row_id, row)
    return ([], reason) if reason else decode_row_images(manifest, root, row_id, row, files)


def decode_row_images(
    manifest: Manifest, root: Root, row_id: int, row: ManifestRow, files: Mapping[str, bytes]
) -> tuple[list[Image.Image], str]:
    """The same from the files' contents.

    Args:
        files: name -> content.

    Raises:
        FileAccessError: there is not enough memory.
    """
    images: dict[int, Image.Image] = {}
    for name, file in files.items():
        places = [place for place, other in enumerate(row.files) if other == name]
        try:
            if is_video(name):
                assert manifest.short_clip is not None  # every manifest with videos has it
                found = decode_video(io.BytesIO(file), len(places), manifest.short_clip, threads=1)
            else:
                found = [decode_image(file, manifest.appearance or "stored")] * len(places)
        except FileAccessError as error:
            raise unreadable(manifest.name, root, row_id, row, name, error) from None
        except DataError as error:
            return [], reason_of(row, name, error)
        images |= zip(places, found, strict=True)
    frames = [images[place] for place in sorted(images)]
    for place, box in enumerate(row.boxes):
        try:
            frames[place] = cropped(frames[place], box)
        except DataError as error:
            return [], reason_of(row, row.files[place], error)
    return frames, ""
