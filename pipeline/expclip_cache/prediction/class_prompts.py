"""The classes that `predict` chooses from, and their prompts."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.base import CANONICAL, SettingsError
from expclip_cache.prompts import Prompt, classes_in, prompt_table

SEVEN_CLASSES = CANONICAL[:7]
"""The classes of most benchmarks."""


def prompts_from(choice: str | Sequence[str] | None) -> tuple[Prompt, ...]:
    """The prompts of every class to choose from.

    Args:
        choice: words (a sequence, or one string with commas or semicolons between them) or the path of a prompt file;
            None for the seven classes and the reference's ensemble. A word becomes "an expression of WORD."; text that
            ends in a full stop is used unchanged.

    Raises:
        SettingsError: fewer than two classes, or a prompt file that cannot be used.
    """
    if choice is None:
        return prompt_table("reference", (5,), SEVEN_CLASSES)
    if isinstance(choice, str) and choice.endswith((".yaml", ".yml")):
        prompts = prompt_table(choice, (), classes_in(choice) or SEVEN_CLASSES)
    else:
        words = choice.split(";" if ";" in choice else ",") if isinstance(choice, str) else choice
        words = list(dict.fromkeys(word.strip() for word in words if word.strip()))
        prompts = tuple(
            Prompt(0, word.rstrip("."), word if word.endswith(".") else f"an expression of {word}.") for word in words
        )
    if len({prompt.class_name for prompt in prompts}) < 2:
        raise SettingsError(f"prompts: expected at least two classes to choose from, found {choice!r}.")
    return prompts


def classes_of(prompts: Sequence[Prompt]) -> tuple[tuple[str, ...], np.ndarray]:
    """The c class names in their order, and (p,) the number of each prompt's class."""
    classes = tuple(dict.fromkeys(prompt.class_name for prompt in prompts))
    return classes, np.array([classes.index(prompt.class_name) for prompt in prompts])
