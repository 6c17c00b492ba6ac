"""params.yaml, or single values, -> validated settings; findings in words.

The file is read with the parser and the YAML version DVC itself uses (1.2: `1e-3` is a number), so that both see the
same values. An unknown key is an error that names the known ones.
"""

import difflib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import ParamsError
from pipeline.params.sections import Params, Section

S = TypeVar("S", bound=Section)


def build(section: type[S], **values: object) -> S:
    """One section from single values, such as command line options.

    Raises:
        ParamsError: see `load_params`.
    """
    return _validated(section, values, "settings")


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate a params file.

    Raises:
        ParamsError: the file is missing or no YAML, or a key is unknown, missing or out of range. All findings are
            listed, each with its place.
    """
    from ruamel.yaml import YAML, YAMLError

    path = Path(path)
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(
            f"{path}: cannot be read ({error.strerror}). Copy a preset there, for example configs/demo.yaml."
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: is not valid YAML: {error}") from None
    return parse_params(tree, where=str(path))


def parse_params(tree: object, where: str = "params") -> Params:
    """Validate an already parsed tree; `where` is named in errors.

    Raises:
        ParamsError: see `load_params`.
    """
    return _validated(Params, tree, where)


def _validated(section: type[S], tree: object, where: str) -> S:
    try:
        return section.model_validate(tree)
    except ValidationError as error:
        findings = [_finding(item, section) for item in error.errors()]
        raise ParamsError("\n".join(f"{where}: {finding}" for finding in findings)) from None


def _finding(item: dict, section: type[Section]) -> str:
    """One pydantic finding as a sentence with the place, what was found and what is known there."""
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
            annotation = model.model_fields[part].annotation
            model = annotation.__args__[-1] if hasattr(annotation, "__args__") else annotation
    return list(model.model_fields)
