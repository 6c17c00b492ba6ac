"""The way in: a dataset's settings and root -> its rows."""

from pathlib import Path

from expclip_cache.datasets.clip_list import read_clip_list
from expclip_cache.datasets.definition import Definition, definition_of
from expclip_cache.datasets.ferplus_csv import read_ferplus_csv
from expclip_cache.datasets.folders import read_frame_folders, read_image_folders
from expclip_cache.datasets.listing import Listing
from expclip_cache.datasets.settings import DatasetSettings

_READERS = {
    "image-folders": read_image_folders,
    "frame-folders": read_frame_folders,
    "clip-list": read_clip_list,
    "ferplus-csv": read_ferplus_csv,
}


def read_rows(root: Path, params: DatasetSettings) -> Listing:
    """List a dataset. File names are read, pictures are not.

    Args:
        root: its folder, see `resolve_root`.
        params: its settings.

    Raises:
        SettingsError: the settings and the definition they name do not fit together.
        DataError: the folder is missing, empty, or not as its layout says; the message names the place.
    """
    definition = definition_of(params)
    listing = _READERS[definition.layout](root, definition, params)
    return Listing(listing.rows, listing.classes, (*_count_notes(definition, params, listing), *listing.notes))


def _count_notes(definition: Definition, params: DatasetSettings, listing: Listing) -> list[str]:
    """Classes without an item, and differences from the published numbers of test items."""
    found = [0] * len(listing.classes)
    for row in listing.rows:
        if row.label >= 0:
            found[row.label] += 1
    notes = []
    empty = [name for name, count in zip(listing.classes, found, strict=True) if count == 0]
    if empty:
        notes.append(f"classes without an item: {', '.join(empty)}")
    if definition.total and not definition.total[0] <= len(listing.rows) <= definition.total[1]:
        fewest, most = definition.total
        notes.append(f"{len(listing.rows)} items instead of the {fewest} to {most} behind the published scores")
    published = definition.published_counts(params.fold)
    if published is not None and params.labelled and list(published) != found:
        differing = [
            f"{name} {count} instead of {wanted}"
            for name, count, wanted in zip(listing.classes, found, published, strict=True)
            if count != wanted
        ]
        notes.append(
            f"{sum(found)} items instead of the published {sum(published)}, so scores compare only roughly: "
            f"{', '.join(differing)}"
        )
    return notes
