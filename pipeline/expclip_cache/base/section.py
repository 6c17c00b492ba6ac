"""Settings as frozen, self-validating classes, and findings about them in words."""

import difflib
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expclip_cache.base.errors import SettingsError

S = TypeVar("S", bound="Section")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", description="letters, digits, - and _")]
"""A name that becomes a folder and the key of a DVC stage."""


class Section(BaseModel):
    """One section of params.yaml: frozen, and an unknown key is an error that names the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def build(section: type[S], **values: object) -> S:
    """One section from single values, such as command line options.

    Raises:
        SettingsError: a key is unknown, missing or out of range.
    """
    return validated(section, values, "settings")


def validated(section: type[S], tree: object, where: str) -> S:
    """A section from a parsed tree.

    Args:
        where: named in errors, such as `params.yaml`.

    Raises:
        SettingsError: a key is unknown, missing or out of range. All findings are listed, each with its place.
    """
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        findings = [_finding(item, section) for item in error.errors()]
        raise SettingsError("\n".join(f"{where}: {finding}" for finding in findings)) from None


def _finding(item: Any, section: type[Section]) -> str:
    """One pydantic finding as a sentence: the place, what was found and what is known there."""
    place = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        *parents, key = item["loc"]
        known = _known_keys(tuple(parents), section)
        close = difflib.get_close_matches(str(key), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"{place}: unknown key.{hint} Known here: {', '.join(known)}."
    if item["type"] == "missing":
        return f"{place}: is required and missing."
    if item["type"] == "value_error":
        return f"{place}: {item['ctx']['error']}"
    return f"{place}: {item['msg']}, found {item['input']!r}."


def _known_keys(parents: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """The keys allowed under a place such as ("datasets", "rafdb")."""
    for part in parents:
        if part in model.model_fields:
            annotation: Any = model.model_fields[str(part)].annotation
            model = annotation.__args__[-1] if hasattr(annotation, "__args__") else annotation
    return list(model.model_fields)
