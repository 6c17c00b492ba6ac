"""Prompts that describe the expression classes, in a stable order.

The texts are data (`TEMPLATES`, `_REFERENCE_EXCEPTIONS`), the table that joins them with class names is
logic. Set `reference` is byte for byte what the reference feeds to CLIP, the places where it leaves its own
templates included. Set `clean` follows the templates without exception: classes differ in their name alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expclip_cache.base import ADJECTIVES, CANONICAL, SettingsError, canonical_order
from expclip_cache.prompts.prompt_file import read_prompt_file

TYPES = (1, 2, 3, 4, 5)
"""The reference's five prompt types: three single prompts, an ensemble of five, an ensemble of ten."""

TEMPLATES = (
    "an expression of {n}.",
    "a photo of a face with an expression of {n}.",
    "a photo radiating {n} in a person.",
    "a photo showing someone immersed in {n}.",
    "a photo capturing {n} within an individual.",
    "a photo of a face displaying {n}.",
    "a photo of a person embodying {n}.",
    "a good photo capturing someone's {n}.",
    "a cropped photo emphasizing a face expressing {n}.",
    "a clean photo showcasing a person's {a} expression.",
)
"""The ensemble; {n} stands for the class name, {a} for its adjective."""

_TEMPLATES_OF_TYPE = {1: ("{n}.",), 2: TEMPLATES[:1], 3: TEMPLATES[1:2], 4: TEMPLATES[:5], 5: TEMPLATES}

# Where the reference's two ensembles depart from TEMPLATES: class -> number in the ensemble (from 1) -> text.
_REFERENCE_EXCEPTIONS = {
    "happiness": {6: "a photo of a face exuding {n}.", 10: "a clean photo showcasing a person's {n}."},
    "sadness": {
        2: "a cropped photo emphasizing a face expressing {n}.",
        3: "a photo exuding {n} in a person.",
        9: "a photo of a face with an expression of {n}.",
        10: "a clean photo showcasing a person's {n}.",
    },
    "neutral": {8: "a good photo capturing someone's {n} state."},
}
_ENSEMBLES = (4, 5)


@dataclass(frozen=True)
class Prompt:
    """One text for CLIP's text tower.

    Attributes:
        type: 1 to 5 of the reference, 0 for the prompts of a user's file.
        class_name: the class it describes.
        text: fed to the tokenizer as it is.
    """

    type: int
    class_name: str
    text: str


def prompt_table(set: str, types: Iterable[int], classes: Sequence[str]) -> tuple[Prompt, ...]:
    """The prompts of some classes.

    Args:
        set: "reference", "clean", or the path of a prompt file (see `expclip_cache.prompts.prompt_file`).
        types: prompt types 1 to 5 of the two built-in sets. A prompt file is one type of its own, numbered 0.
        classes: the classes to describe.

    Returns:
        p prompts ordered by type, class (canonical order) and template.

    Raises:
        SettingsError: a type or class the set does not have, or a prompt file that cannot be used.
    """
    classes = canonical_order(classes)
    if set not in ("reference", "clean"):
        return tuple(Prompt(0, name, text) for name, texts in read_prompt_file(set, classes).items() for text in texts)
    unknown = [name for name in classes if name not in CANONICAL]
    if unknown:
        raise SettingsError(
            f"prompts.set {set!r} has no prompts for {', '.join(unknown)}; it knows {', '.join(CANONICAL)}. "
            "Other classes need a prompt file: prompts.set: prompts/mine.yaml."
        )
    types = sorted(dict.fromkeys(types))
    if not types or any(type_ not in TYPES for type_ in types):
        raise SettingsError(f"prompts.types: expected some of {list(TYPES)}, found {types}.")
    return tuple(Prompt(t, name, text) for t in types for name in classes for text in _texts(set, t, name))


def _texts(set: str, type_: int, name: str) -> list[str]:
    """The texts of one class and type of a built-in set, in template order."""
    exceptions = _REFERENCE_EXCEPTIONS.get(name, {}) if set == "reference" and type_ in _ENSEMBLES else {}
    templates = enumerate(_TEMPLATES_OF_TYPE[type_], start=1)
    return [exceptions.get(number, template).format(n=name, a=ADJECTIVES[name]) for number, template in templates]
