"""The classes of the samples of tar shards, each in a file beside its image."""

import json
from collections.abc import Collection
from typing import Any, NamedTuple, Self

from expclip_cache.base import DataError
from expclip_cache.datasets.tar_index import TarIndex

LABELS = ("cls", "txt", "json.label")
"""Where classes are looked for if nothing is said: the first that there is in the first tar with any of them."""

LARGEST_LABEL = 1 << 20
"""Bytes of the largest file with a class that is read."""


class LabelPlace(NamedTuple):
    """Where the classes of samples are.

    Attributes:
        extension: of the files, in lower case.
        field: of their JSON, with dots where it is inside another; empty for the whole file.
    """

    extension: str
    field: str

    @classmethod
    def among(cls, extensions: Collection[str], chosen: str | None) -> Self | None:
        """The place among the extensions of some samples; None if they have no such file.

        Args:
            chosen: `samples.label` of the settings.

        >>> LabelPlace.among({"jpg", "json"}, "json.emotion")
        LabelPlace(extension='json', field='emotion')
        >>> LabelPlace.among({"jpg", "emotion.txt"}, "emotion.TXT")
        LabelPlace(extension='emotion.txt', field='')
        """
        for label in (chosen,) if chosen else LABELS:
            words = label.split(".")
            for length in range(len(words), 0, -1):
                if (extension := ".".join(words[:length]).lower()) in extensions:
                    return cls(extension, ".".join(words[length:]))
        return None


class Words(NamedTuple):
    """What files with classes say.

    Attributes:
        of_file: name of the file -> class in the dataset's own words, where there is one.
        other_fields: of the JSON of the last file without the field of its class.
    """

    of_file: dict[str, str]
    other_fields: tuple[str, ...]


def words_in(index: TarIndex, files: Collection[str], place: LabelPlace) -> Words:
    """The classes in some files of a tar.

    Raises:
        OSError: the tar cannot be read.
        DataError: a file is too large or not JSON, or it is not said which of its fields has the class.
    """
    words, other_fields = dict[str, str](), tuple[str, ...]()
    for name, content in index.contents(files, LARGEST_LABEL):
        where = f"{index.path}/{name}"
        if len(content) > LARGEST_LABEL:
            raise DataError(
                f"{where}: expected a class, found more than {LARGEST_LABEL} bytes. Say where the classes are: "
                "samples.label."
            )
        text = content.decode("utf-8", "surrogateescape").strip()
        if not name.lower().endswith(".json"):
            words[name] = text
            continue
        value = _parsed(text, where)
        if not place.field and isinstance(value, dict):
            raise DataError(
                f"{where}: expected the field with the class, found the fields {', '.join(value)}. Say which: "
                "samples.label, such as json.emotion."
            )
        try:
            word = _value_of(place.field, value)
        except (KeyError, TypeError):
            other_fields = tuple(value) if isinstance(value, dict) else ()
        else:
            if word is not None:
                words[name] = str(word)
    return Words(words, other_fields)


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not JSON ({error}).") from None


def _value_of(field: str, value: Any) -> object:
    for part in filter(None, field.split(".")):
        value = value[part]
    return value
