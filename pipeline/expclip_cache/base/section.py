"""Settings as frozen classes that validate themselves, with readable errors."""

import difflib
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expclip_cache.base.errors import SettingsError

S = TypeVar("S", bound="Section")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="letters, digits, - and _")]
"""A name that is used as a folder name and as the key of a DVC stage."""


class Section(BaseModel):
    """One section of params.yaml: frozen; an unknown key is an error that lists the known keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def build(section: type[S], **values: object) -> S:
    """Make a section from keyword arguments, such as command line options.

    Raises:
        SettingsError: a key is unknown, missing or out of range.
    """
    return validated(section, values, "settings")


def validated(section: type[S], tree: object, where: str) -> S:
    """Make a section from a parsed YAML tree.

    Args:
        where: source of the tree for error messages, such as `params.yaml`.

    Raises:
        SettingsError: a key is unknown, missing or out of range. All problems are listed, each with its path.
    """
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        problems = [_describe(item, section) for item in error.errors()]
        raise SettingsError("\n".join(f"{where}: {problem}" for problem in problems)) from None


def _describe(item: Any, section: type[Section]) -> str:
    """One pydantic error as a sentence: the path of the key, what was found and which keys are known there."""
    path = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        *parents, key = item["loc"]
        known = _known_keys(tuple(parents), section)
        close = difflib.get_close_matches(str(key), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"{path}: unknown key.{hint} Known keys: {', '.join(known)}."
    if item["type"] == "missing":
        return f"{path}: required key is missing."
    if item["type"] == "value_error":
        return f"{path}: {item['ctx']['error']}"
    return f"{path}: {item['msg']}, found {item['input']!r}."


def _known_keys(parents: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """The keys allowed under a path such as ("datasets", "rafdb")."""
    for part in parents:
        if part in model.model_fields:
            annotation: Any = model.model_fields[str(part)].annotation
            candidates = [*get_args(annotation), annotation]  # of an optional section or a dict of sections: its class
            model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
