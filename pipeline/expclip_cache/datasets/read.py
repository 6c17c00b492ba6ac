"""List a dataset: its settings and root -> its rows."""

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


def read_rows(root: Path, dataset: DatasetSettings) -> Listing:
    """List a dataset. Only file names and lists are read; no image is opened.

    Args:
        root: its folder, see `resolve_root`.
        dataset: its settings.

    Raises:
        SettingsError: the settings contradict the definition they name.
        DataError: the folder is missing, empty, or does not match its layout; the message names the place.
    """
    definition = definition_of(dataset)
    listing = _READERS[definition.layout](root, definition, dataset)
    return Listing(listing.rows, listing.classes, (*_count_notes(definition, dataset, listing), *listing.notes))


def _count_notes(definition: Definition, dataset: DatasetSettings, listing: Listing) -> list[str]:
    """Notes on classes without items and on differences from the published numbers of test items."""
    found = [0] * len(listing.classes)
    for row in listing.rows:
        if row.label >= 0:
            found[row.label] += 1
    notes = []
    empty = [name for name, count in zip(listing.classes, found, strict=True) if count == 0]
    if empty:
        notes.append(f"classes without items: {', '.join(empty)}")
    if definition.total and not definition.total[0] <= len(listing.rows) <= definition.total[1]:
        smallest, largest = definition.total
        notes.append(
            f"found {len(listing.rows)} items; the published scores are based on {smallest} to {largest} items"
        )
    published = definition.published_counts(dataset.fold)
    if published is not None and dataset.labelled and list(published) != found:
        differing = [
            f"{name} {count} instead of {wanted}"
            for name, count, wanted in zip(listing.classes, found, published, strict=True)
            if count != wanted
        ]
        notes.append(
            f"{sum(found)} items instead of the published {sum(published)}, so scores are only roughly comparable: "
            f"{', '.join(differing)}"
        )
    return notes
