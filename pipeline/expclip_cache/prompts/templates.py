"""The built-in prompt sets, and the table of prompts in a fixed order.

The set `reference` is byte for byte what the reference feeds to CLIP, including the prompts that deviate from its own
templates. The set `clean` follows the templates without exception, so classes differ only in their names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expclip_cache.base import ADJECTIVES, CANONICAL, SettingsError, canonical_order
from expclip_cache.prompts.prompt_file import read_prompt_file

TYPES = (1, 2, 3, 4, 5)
"""The reference's five prompt types: three single prompts, an ensemble of five and an ensemble of ten."""

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
"""The ensemble; {n} is the class name, {a} its adjective."""

_TEMPLATES_OF_TYPE = {1: ("{n}.",), 2: TEMPLATES[:1], 3: TEMPLATES[1:2], 4: TEMPLATES[:5], 5: TEMPLATES}

# Where the reference's two ensembles deviate from TEMPLATES: class -> number in the ensemble (from 1) -> text.
_REFERENCE_EXCEPTIONS: dict[str, dict[int, str]] = {
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
    """One prompt for CLIP's text tower.

    Attributes:
        type: 1 to 5 for the built-in sets, 0 for a prompt file.
        class_name: the class it describes.
        text: passed to the tokenizer unchanged.
    """

    type: int
    class_name: str
    text: str


def prompt_table(prompt_set: str, types: Iterable[int], classes: Sequence[str]) -> tuple[Prompt, ...]:
    """The prompts that describe some classes.

    Args:
        prompt_set: "reference", "clean", or the path of a prompt file (see `expclip_cache.prompts.prompt_file`).
        types: prompt types 1 to 5 of the two built-in sets; ignored for a prompt file, whose prompts are type 0.
        classes: the classes to describe.

    Returns:
        p prompts ordered by type, class (canonical order) and template.

    Raises:
        SettingsError: the set has no such type or class, or the prompt file cannot be used.
    """
    classes = canonical_order(classes)
    if prompt_set not in ("reference", "clean"):
        prompts = read_prompt_file(prompt_set, classes)
        return tuple(Prompt(0, name, text) for name, texts in prompts.items() for text in texts)
    unknown = [name for name in classes if name not in CANONICAL]
    if unknown:
        raise SettingsError(
            f"prompt set {prompt_set!r} has no prompts for {', '.join(unknown)}; it has {', '.join(CANONICAL)}. "
            "Other classes need a prompt file: set: prompts/mine.yaml."
        )
    types = sorted(set(types))
    if not types or any(type_ not in TYPES for type_ in types):
        raise SettingsError(f"types of the prompt set: expected some of {list(TYPES)}, found {types}.")
    return tuple(Prompt(t, name, text) for t in types for name in classes for text in _texts(prompt_set, t, name))


def _texts(prompt_set: str, type_: int, name: str) -> list[str]:
    """The prompts of one class and type in a built-in set, in the order of the templates."""
    deviates = prompt_set == "reference" and type_ in _ENSEMBLES
    exceptions = _REFERENCE_EXCEPTIONS.get(name, {}) if deviates else {}
    templates = enumerate(_TEMPLATES_OF_TYPE[type_], start=1)
    return [(exceptions.get(number) or template).format(n=name, a=ADJECTIVES[name]) for number, template in templates]
