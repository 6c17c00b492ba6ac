"""The samples of a tar shard: files with the same name before the first dot."""

from dataclasses import dataclass
from typing import NamedTuple

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.file_names import SYSTEM_FOLDERS, is_image
from expclip_cache.datasets.listing import examples
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.tar_index import TarIndex
from expclip_cache.datasets.tar_labels import LabelPlace, Words, words_in

Parts = dict[str, dict[str, str]]
"""Key of a sample -> extension in lower case -> name of the file."""


class Sample(NamedTuple):
    """An image and what its label's file says.

    Attributes:
        image: name of its file in the tar.
        word: its class in the dataset's own words; None without one.
    """

    image: str
    word: str | None


@dataclass(frozen=True)
class TarSamples:
    """The samples of a tar.

    Attributes:
        samples: those with an image.
        without_image: how many others there are.
        example: the first of these, as text: its key and extensions.
        extensions: that files of samples have.
        label: where the classes were looked for; None if no tar has shown it yet.
        other_fields: see `Words`.
    """

    samples: list[Sample]
    without_image: int
    example: str
    extensions: set[str]
    label: LabelPlace | None
    other_fields: tuple[str, ...]


def samples_of(index: TarIndex, settings: Samples, labelled: bool, label: LabelPlace | None = None) -> TarSamples:
    """The samples of a tar, in its order.

    Args:
        labelled: whether to read the files with the classes.
        label: where the classes are, as an earlier tar of the dataset has shown; None if none has.

    Raises:
        OSError: the tar cannot be read.
        DataError: two files cannot be told apart, a sample has several images, or a label is not what it should be.
    """
    parts = _parts(index)
    images = {key: image for key, part in parts.items() if (image := _image(part, key, index.path, settings))}
    extensions = {extension for part in parts.values() for extension in part}
    if labelled:
        label = label or LabelPlace.among(extensions, settings.label)
    files = {key: parts[key][label.extension] for key in images if label.extension in parts[key]} if label else {}
    words = words_in(index, set(files.values()), label) if label else Words({}, ())
    first = next((key for key in parts if key not in images), None)
    return TarSamples(
        [Sample(image, words.of_file.get(files.get(key, ""))) for key, image in images.items()],
        len(parts) - len(images),
        "" if first is None else f"{first!r} with {', '.join(list(parts[first])[:3])}",
        extensions,
        label,
        words.other_fields,
    )


def _parts(index: TarIndex) -> Parts:
    """The files of each sample. Hidden files, and what operating systems leave, belong to none."""
    if index.repeated:
        raise DataError(
            f"{index.path}: has several files called {examples(index.repeated)}. Which of them belongs to a sample "
            "cannot be known: write the shard again."
        )
    parts: Parts = {}
    for name in index.names:
        folder, slash, base = name.rpartition("/")
        stem, _, extension = base.partition(".")
        if not stem or not extension or _is_hidden(folder):
            continue
        part, extension = parts.setdefault(folder + slash + stem, {}), extension.lower()
        if extension in part:
            raise DataError(
                f"{index.path}: the names {part[extension]!r} and {name!r} differ only in their case. Which of them "
                "belongs to the sample cannot be known: write the shard again."
            )
        part[extension] = name
    return parts


def _is_hidden(folder: str) -> bool:
    parts = folder.split("/") if folder else []
    return any((part.startswith(".") and part != "..") or part.lower() in SYSTEM_FOLDERS for part in parts)


def _image(part: dict[str, str], key: str, tar: Root, settings: Samples) -> str | None:
    """The name of a sample's image; None without one."""
    if settings.image is not None:
        return part.get(settings.image.lower())
    found = [name for extension, name in part.items() if "." not in extension and is_image(name)]
    if len(found) > 1:
        raise DataError(f"{tar}: sample {key!r} has several images, {examples(found)}. Say which: samples.image.")
    return found[0] if found else None
