"""Read a user's own prompts from a YAML file.

The file either lists the prompts of each class:

    classes:
      happiness: ["a smiling face.", "a face with raised cheeks."]
      boredom: ["a bored face."]

or has templates for all classes, with {n} for the class name and {a} for its adjective:

    templates: ["a photo of a {a} person.", "a face that shows {n}."]
    adjectives: {boredom: bored}     # only for classes outside the eleven
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter

from expclip_cache.base import ADJECTIVES, SettingsError, load_yaml

IF_MISSING = "Expected the prompt set reference, clean or the path of a YAML file."


def read_prompt_file(path: str | Path, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read the prompts of some classes.

    Args:
        path: the YAML file, UTF-8.
        classes: the class names to read; others in the file are ignored.

    Returns:
        Class name -> its prompts in the order of the file, for `classes` in their order. Classes may have different
        numbers of prompts.

    Raises:
        SettingsError: the file is missing or not YAML, has unknown keys, has no prompts for a class, or holds a value
            that is not a prompt.
    """
    tree = load_yaml(Path(path), IF_MISSING)
    if not isinstance(tree, Mapping) or ("classes" in tree) == ("templates" in tree):
        raise SettingsError(f"{path}: expected either `classes:` or `templates:`, found {_found(tree)}.")
    known = ("classes",) if "classes" in tree else ("templates", "adjectives")
    unknown = [str(key) for key in tree if key not in known]
    if unknown:
        raise SettingsError(f"{path}: unknown key {', '.join(unknown)}. Known keys: {', '.join(known)}.")
    if "classes" in tree:
        return _by_class(path, tree["classes"], classes)
    return _by_template(path, tree["templates"], tree.get("adjectives", {}), classes)


def classes_in(path: str | Path) -> tuple[str, ...] | None:
    """The classes whose prompts a file lists; None for a file of templates, which serve any class.

    Raises:
        SettingsError: the file is missing or not YAML.
    """
    tree = load_yaml(Path(path), IF_MISSING)
    classes = tree.get("classes") if isinstance(tree, Mapping) else None
    return tuple(_named(f"{path}: classes", classes)) if isinstance(classes, Mapping) else None


def _by_class(path: str | Path, tree: object, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{path}: classes: expected class names, each with a list of prompts, found {tree!r}.")
    tree = _named(f"{path}: classes", tree)
    missing = [name for name in classes if name not in tree]
    if missing:
        raise SettingsError(
            f"{path}: has no prompts for {', '.join(missing)}; it has {', '.join(map(str, tree)) or 'none'}. "
            "Add them under `classes:`."
        )
    return {name: _prompts(f"{path}: classes.{name}", tree[name]) for name in classes}


def _by_template(
    path: str | Path, templates: object, adjectives: object, classes: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    templates = _prompts(f"{path}: templates", templates)
    if not isinstance(adjectives, Mapping) or not all(isinstance(word, str) for word in adjectives.values()):
        raise SettingsError(f"{path}: adjectives: expected class names, each with a word, found {adjectives!r}.")
    words = ADJECTIVES | _named(f"{path}: adjectives", adjectives)
    needs_adjective = False
    for template in templates:
        fields = _fields(path, template)
        if not fields or not fields <= {"n", "a"}:
            raise SettingsError(
                f"{path}: templates: expected {{n}} (class name) or {{a}} (adjective) and nothing else in "
                f"braces, found {template!r}."
            )
        needs_adjective |= "a" in fields
    missing = [name for name in classes if name not in words]
    if needs_adjective and missing:
        raise SettingsError(f"{path}: no adjective for {', '.join(missing)}. Add it under `adjectives:`.")
    return {name: tuple(t.format(n=name, a=words.get(name)) for t in templates) for name in classes}


def _fields(path: str | Path, template: str) -> set[str]:
    """The contents of a template's braces, with conversions and format specs, so that these are rejected too."""
    try:
        parts = [(field, spec, conversion) for _, field, spec, conversion in Formatter().parse(template)]
    except ValueError as error:
        raise SettingsError(f"{path}: templates: {template!r}: {error}.") from None
    return {f"{field}{spec}{conversion or ''}" for field, spec, conversion in parts if field is not None}


def _prompts(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise SettingsError(f"{where}: expected a list with at least one prompt, found {value!r}.")
    wrong = [item for item in value if not isinstance(item, str) or not item.strip()]
    if wrong:
        raise SettingsError(
            f"{where}: expected prompts, found {wrong[0]!r}; put a text that looks like something else in quotes."
        )
    return tuple(value)


def _named(where: str, tree: Mapping[object, object]) -> dict[str, object]:
    """The same mapping, whose keys are class names."""
    named = {name: value for name, value in tree.items() if isinstance(name, str)}
    if other := [name for name in tree if name not in named]:
        raise SettingsError(
            f"{where}: expected class names, found {other[0]!r}, which YAML reads as a {type(other[0]).__name__}. Put "
            "the name in quotes."
        )
    return named


def _found(tree: object) -> str:
    return f"the keys {', '.join(map(str, tree)) or 'none'}" if isinstance(tree, Mapping) else repr(tree)
