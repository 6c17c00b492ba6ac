"""Layout webdataset: tar shards, whose files with the same name before the first dot are one sample.

The members of a tar that are neither an image nor a label are passed over, and so are other files beside the tars, such
as the tables that img2dataset writes.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.contained import TAR, open_containers
from expclip_cache.datasets.container_files import container_files
from expclip_cache.datasets.definition import Definition
from expclip_cache.datasets.file_names import is_image
from expclip_cache.datasets.labels import labels_of
from expclip_cache.datasets.listing import ListedRow, Listing, examples, in_path_order
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tar_index import TarIndex

LABELS = ("cls", "txt", "json.label")
"""Where a sample's class is looked for if nothing is said: the first that the samples have."""


class Sample(NamedTuple):
    """An image and what its label's file says.

    Attributes:
        path: of the image, as if the tar were a folder.
        word: its class in the dataset's own words; None without one.
    """

    path: str
    word: str | None


def read_webdataset(root: Root, definition: Definition, dataset: DatasetSettings) -> Listing:
    """One row per sample that has an image.

    Raises:
        DataError: there is no tar or no image, a tar cannot be read or has two files of one name, a sample has several
            images or none of the samples has a label, or a class is unknown.
    """
    samples, notes = [], list[str]()
    settings = dataset.samples or Samples()
    without_image = 0
    places = container_files(root, settings.files, TAR)
    for place, index in zip(places, open_containers(root, places), strict=True):
        assert isinstance(index, TarIndex)
        if index.repeated:
            raise DataError(
                f"{index.path}: has several files called {examples(index.repeated)}. Which of them belongs to a sample "
                "cannot be known: write the shard again."
            )
        if index.truncated:
            notes.append(f"{place} is cut off after {len(index.members)} files")
        found, missing = _samples_of(index, place, settings, dataset.labelled)
        samples += found
        without_image += missing
    if not samples:
        raise DataError(
            f"{root}: expected images in its tar shards, found none. Check samples.image and samples.files."
        )
    if without_image:
        notes.append(f"{without_image} samples have no image and are ignored")
    kept = [sample for sample in samples if sample.word is not None] if dataset.labelled else samples
    if not kept:
        raise DataError(
            f"{root}: expected a class for each sample, in a file {settings.label or ' or '.join(LABELS)}, found none. "
            "Say where it is (samples.label), or set labelled: false."
        )
    own = definition.model_copy(update={"native": settings.native}) if settings.native else definition
    words = [sample.word or "" for sample in kept]
    labels, classes, label_notes = labels_of(words, own, dataset.labelled, str(root), "samples")
    notes += label_notes
    if len(kept) < len(samples):
        notes.append(f"{len(samples) - len(kept)} samples have no class and are ignored")
    rows = (
        ListedRow(sample.path, label, (sample.path,))
        for sample, label in zip(kept, labels, strict=True)
        if label is not None
    )
    return Listing(in_path_order(rows), classes, tuple(notes))


def _samples_of(index: TarIndex, place: str, settings: Samples, labelled: bool) -> tuple[list[Sample], int]:
    """The samples of a tar, and how many have no image."""
    parts: dict[str, dict[str, str]] = {}
    for name in index.members:
        folder, _, base = name.rpartition("/")
        stem, _, extension = base.partition(".")
        if stem and extension:
            parts.setdefault(f"{folder}/{stem}" if folder else stem, {})[extension.lower()] = name
    images = {key: image for key, part in parts.items() if (image := _image(part, key, index.path, settings))}
    words = dict(_words(index, parts, settings, images)) if labelled else {}
    samples = [Sample(f"{place}/{image}", words.get(key)) for key, image in images.items()]
    return samples, sum(key not in images for key in parts)


def _image(part: dict[str, str], key: str, tar: Root, settings: Samples) -> str | None:
    """The name of a sample's image; None without one."""
    if settings.image is not None:
        return part.get(settings.image.lower())
    found = [name for extension, name in part.items() if "." not in extension and is_image(name)]
    if len(found) > 1:
        raise DataError(f"{tar}: sample {key!r} has several images, {examples(found)}. Say which: samples.image.")
    return found[0] if found else None


def _words(
    index: TarIndex, parts: dict[str, dict[str, str]], settings: Samples, images: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Key and class of each sample with an image that has a file with its class."""
    kinds = {extension for part in parts.values() for extension in part}
    choices = (settings.label,) if settings.label else LABELS
    label = next((each for each in choices if each.partition(".")[0] in kinds), None)
    if label is None:
        return
    extension, _, field = label.partition(".")
    wanted = {part[extension]: key for key, part in parts.items() if extension in part and key in images}
    for name, content in index.contents(wanted):
        word = _word(content, field, f"{index.path}/{name}")
        if word is not None:
            yield wanted[name], word


def _word(content: bytes, field: str, where: str) -> str | None:
    """What a label's file says; of a JSON file one of its fields."""
    text = content.decode("utf-8", "surrogateescape").strip()
    if not field:
        return text
    try:
        value = json.loads(text)
        for part in field.split("."):
            value = value[part]
    except (KeyError, TypeError):
        return None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not JSON ({error}).") from None
    return None if value is None else str(value)
