"""Build a manifest of a folder of images in one call."""

from pathlib import Path
from typing import Literal

from expclip_cache.base import Reporter, SilentReporter, build
from expclip_cache.datasets.address import Root, root_at
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.manifest import Manifest
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings

FolderLayout = Literal["images", "image-folders", "frame-folders", "webdataset", "parquet"]
"""How a folder is laid out whose settings are not given."""


def build_manifest(
    images: str | Root,
    layout: FolderLayout | DatasetSettings = "images",
    name: str | None = None,
    report: Reporter | None = None,
) -> Manifest:
    """List a folder of images or clips and hash every file.

    Args:
        images: the folder, or an address such as s3://bucket/faces; with `DatasetSettings`, the root of the dataset
            (see `resolve_root`).
        layout: `images` is any tree without labels, `image-folders` is <class>/**/<image>, `frame-folders` is
            <class>/**/<clip>/<frame>, `webdataset` and `parquet` are tar shards and Parquet files with images, without
            labels. `DatasetSettings` cover every other case.
        name: of the dataset; default: the folder's name. Not part of the manifest's hash.
        report: shows a progress bar; default: none.

    Returns:
        The manifest. Its `notes` say what was ignored and why.

    Raises:
        SettingsError: the settings contradict the definition they name, the address has a password in it, or the path
            is not UTF-8.
        DataError: the folder is missing, empty, or does not match its layout.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    root = root_at(images)
    name = name or (root.absolute() if isinstance(root, Path) else root).name
    if not isinstance(layout, DatasetSettings):
        labelled = layout in ("image-folders", "frame-folders")
        layout = build(
            DatasetSettings,
            source=str(root),
            layout=layout if layout != "images" else "image-folders",
            labelled=labelled,
        )
    listing = read_rows(root, layout)
    with (report or SilentReporter()).bar(f"hashing {name}", len(listing.rows), "row") as bar:
        return hash_listing(name, root, listing, bar.advance)
