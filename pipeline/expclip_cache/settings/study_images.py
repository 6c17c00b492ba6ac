"""The images of a study, as its encoders see them."""

from expclip_cache.datasets import DatasetSettings, Manifest, read_manifest
from expclip_cache.settings.paths import crop_file, manifest_file


def read_images(name: str, dataset: DatasetSettings) -> Manifest:
    """The manifest of a dataset, with the boxes of the faces that were found in its images.

    Raises:
        DataError: the manifest or the boxes cannot be read, or the boxes are those of other images.
    """
    manifest = read_manifest(manifest_file(name))
    if dataset.crop != "detect":
        return manifest
    from expclip_cache.faces import DETECTOR, with_crops  # imports Pillow and more

    return with_crops(manifest, crop_file(name), DETECTOR)
