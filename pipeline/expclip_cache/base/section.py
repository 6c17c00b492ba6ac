"""Settings as frozen classes that validate themselves, with readable errors."""

import difflib
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expclip_cache.base.errors import SettingsError

S = TypeVar("S", bound="Section")

NAME = r"^[A-Za-z0-9_-]+$"

Name = Annotated[str, Field(pattern=NAME)]
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
    keys, annotation = _place(item["loc"], section)
    path = ".".join(keys) or "the file"
    if item["type"] == "extra_forbidden":
        known = list(_place(item["loc"][:-1], section)[1].model_fields)
        close = difflib.get_close_matches(keys[-1], known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return f"{path}: unknown key.{hint} Known keys: {', '.join(known)}."
    if item["type"] == "missing":
        return f"{path}: required key is missing."
    if item["type"] == "value_error":
        return f"{path}: {item['ctx']['error']}"
    if item["type"] in ("union_tag_not_found", "union_tag_invalid"):
        found = item["ctx"].get("tag")
        return f"{path}.kind: expected {' or '.join(_kinds(annotation))}, " + (
            f"found {found!r}." if found else "but the key is missing."
        )
    if item.get("ctx", {}).get("pattern") == NAME:
        place = path.removesuffix(".[key]")
        return f"{place}: a name has letters, digits, - and _ alone, found {item['input']!r}."
    return f"{path}: {item['msg']}, found {item['input']!r}."


def _place(location: tuple[str | int, ...], section: type[BaseModel]) -> tuple[list[str], Any]:
    """The keys on the way to a pydantic location, and what is expected there: a class, or another annotation.

    Where sections of several kinds are possible, pydantic's location names the kind too; it is no key.
    """
    keys: list[str] = []
    expected: Any = section
    for part in location:
        if (kinds := _kinds(expected)) and part in kinds:
            expected = kinds[str(part)]
            continue
        keys.append(str(part))
        if isinstance(expected, type) and issubclass(expected, BaseModel):
            field = expected.model_fields.get(str(part))
            expected = field.annotation if field else None
        else:  # a dict of sections
            expected = next((each for each in reversed(get_args(expected)) if _sections(each)), None)
        if len(sections := _sections(expected)) == 1 and not _is_dict(expected):
            expected = sections[0]
    return keys, expected


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes in an annotation, such as that of an optional section or a dict of sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for each in get_args(annotation) for section in _sections(each)]


def _is_dict(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def _kinds(annotation: Any) -> dict[str, type[BaseModel]]:
    """The settings classes that `kind` chooses from, by kind; none if there is no choice."""
    if _is_dict(annotation):
        return {}
    sections = _sections(annotation)
    return {section.model_fields["kind"].default: section for section in sections} if len(sections) > 1 else {}
