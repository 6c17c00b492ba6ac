"""Write the crops of a dataset as images, to look at them or to use them elsewhere."""

from pathlib import Path

from expclip_cache.base import DataError, Reporter
from expclip_cache.datasets import Manifest, Root
from expclip_cache.encoders import read_row_images


def save_crops(manifest: Manifest, root: Root, out: Path, report: Reporter) -> int:
    """Write every crop of a manifest with boxes: <path>.png for an image <path>, <path>/<frame>.png for a clip.

    Args:
        root: folder or address of the images.
        out: folder for the crops.

    Returns:
        The number of rows without a crop: there is no face, or the image cannot be read.

    Raises:
        DataError: the manifest has no boxes, or the images are not its own.
        FileAccessError: an image cannot be read at the moment.
        OSError: a crop cannot be written.
    """
    if not manifest.has_boxes:
        raise DataError(f"{manifest.name}: the manifest has no boxes; its images are used whole.")
    without = 0
    with report.bar(f"cropping {manifest.name}", len(manifest.rows), "row") as bar:
        for row_id, row in enumerate(manifest.rows):
            images, reason = read_row_images(manifest, root, row_id, row)
            without += bool(reason)
            for frame, image in enumerate(images):
                of_image = row.path if row.path.endswith(".png") else f"{row.path}.png"
                name = of_image if len(images) == 1 else f"{row.path}/{frame:03}.png"
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                image.save(out / name)
            bar.advance(1)
    return without
