"""Find datasets below one folder by the files that their makers ship, or by the folder's name."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import CANONICAL, DataError, SettingsError
from expclip_cache.datasets import (
    DatasetSettings,
    builtin_definitions,
    is_there_as_shipped,
    load_definition,
    read_rows,
)


@dataclass(frozen=True)
class Search:
    """What was found below a folder.

    Attributes:
        roots: definition -> its folder.
        unread: what looks like a dataset but cannot be used, and why, one line each.
    """

    roots: Mapping[str, Path]
    unread: tuple[str, ...]


def search_datasets(folder: Path, without: Collection[str] = ()) -> Search:
    """Try every definition that comes with the package on a folder and on each folder in it.

    A folder is a dataset's if it has the files of one of its forms, or its name, and can be read.

    Args:
        without: definitions that are not searched for.

    Raises:
        SettingsError: the folder cannot be listed, or holds two folders of one dataset.
    """
    try:
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    except OSError as error:
        raise SettingsError(f"--data {folder}: cannot be listed ({error.strerror}).") from None
    found: dict[str, list[Path]] = {}
    unread = []
    for name, file in builtin_definitions().items():
        if name in without:
            continue
        definition = load_definition(file)
        own_classes = [name for name in definition.classes if name not in CANONICAL]
        fold = min(definition.folds, default=None)
        for place in places:
            if not (is_there_as_shipped(definition, place, fold) or _is_named(name, place.name)):
                continue
            try:
                read_rows(place, DatasetSettings(source=str(file), fold=fold))
            except DataError as error:
                unread.append(f"{place}: looks like {definition.title}, but cannot be read: {error}")
            else:
                if own_classes:
                    unread.append(
                        f"{place}: has {definition.title}, whose classes ({', '.join(own_classes[:3])} ...) need "
                        f"prompts of your own; add it with --root {name}={place}"
                    )
                elif place.parent not in found.get(name, []):
                    found.setdefault(name, []).append(place)
    for name, roots in found.items():
        if len(roots) > 1:
            raise SettingsError(
                f"--data {folder}: {' and '.join(map(str, roots))} are both {name}. "
                f"Say which with --root {name}=FOLDER."
            )
    return Search({name: roots[0] for name, roots in found.items()}, tuple(unread))


def _is_named(name: str, folder: str) -> bool:
    """Whether a folder has a definition's name, give or take its writing and the number of classes.

    >>> _is_named("affectnet-7", "AffectNet"), _is_named("ferplus", "FER+"), _is_named("fer2013", "FER")
    (True, True, False)
    """

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower().replace("+", "plus"))

    return plain(folder) in (plain(name), plain(re.sub(r"-(\d|csv)$", "", name)))
