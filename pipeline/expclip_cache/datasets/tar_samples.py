"""The samples of a tar shard: files with the same name before the first dot."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.file_names import SYSTEM_FOLDERS, is_image
from expclip_cache.datasets.listing import examples
from expclip_cache.datasets.sample_settings import Samples
from expclip_cache.datasets.tar_index import TarIndex

LABELS = ("cls", "txt", "json.label")
"""Where a sample's class is looked for if nothing is said: the first that the samples have."""

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
    """

    samples: list[Sample]
    without_image: int
    example: str
    extensions: set[str]


def samples_of(index: TarIndex, settings: Samples, labelled: bool) -> TarSamples:
    """The samples of a tar, in its order.

    Args:
        labelled: whether to read the files with the classes.

    Raises:
        OSError: the tar cannot be read.
        DataError: two files cannot be told apart, a sample has several images, or a label is not what it should be.
    """
    parts = _parts(index)
    images = {key: image for key, part in parts.items() if (image := _image(part, key, index.path, settings))}
    words = dict(_words(index, parts, settings, images)) if labelled else {}
    first = next((key for key in parts if key not in images), None)
    return TarSamples(
        [Sample(image, words.get(key)) for key, image in images.items()],
        len(parts) - len(images),
        "" if first is None else f"{first!r} with {', '.join(list(parts[first])[:3])}",
        {extension for part in parts.values() for extension in part},
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


def _words(index: TarIndex, parts: Parts, settings: Samples, images: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Key and class of each sample with an image that has a file with its class."""
    kinds = {extension for part in parts.values() for extension in part}
    choices = (settings.label,) if settings.label else LABELS
    extension, field = next((found for each in choices if (found := _file_and_field(each, kinds))), ("", ""))
    if not extension:
        return
    wanted = {part[extension]: key for key, part in parts.items() if extension in part and key in images}
    for name, content in index.contents(wanted):
        word = _word(content, field, f"{index.path}/{name}")
        if word is not None:
            yield wanted[name], word


def _file_and_field(label: str, kinds: set[str]) -> tuple[str, str] | None:
    """The extension with the class and the field of its JSON, if any; None if no sample has such a file.

    >>> _file_and_field("json.emotion", {"jpg", "json"}), _file_and_field("emotion.TXT", {"jpg", "emotion.txt"})
    (('json', 'emotion'), ('emotion.txt', ''))
    """
    words = label.split(".")
    for length in range(len(words), 0, -1):
        if (extension := ".".join(words[:length]).lower()) in kinds:
            return extension, ".".join(words[length:])
    return None


def _word(content: bytes, field: str, where: str) -> str | None:
    """What a label's file says; of a JSON file one of its fields."""
    text = content.decode("utf-8", "surrogateescape").strip()
    if not where.lower().endswith(".json"):
        return text
    try:
        value = json.loads(text)
        if not field and isinstance(value, dict):
            raise DataError(
                f"{where}: expected the field with the class, found the fields {', '.join(value)}. Say which: "
                "samples.label, such as json.emotion."
            )
        for part in filter(None, field.split(".")):
            value = value[part]
    except (KeyError, TypeError):
        return None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not JSON ({error}).") from None
    return None if value is None else str(value)
