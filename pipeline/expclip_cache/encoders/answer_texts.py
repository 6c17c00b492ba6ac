"""The questions that an LLM is asked, and which class a written answer names."""

import re
from collections.abc import Sequence

from expclip_cache.encoders.answer_settings import OPTIONS


def option_orders(names: Sequence[str], count: int) -> list[tuple[str, ...]]:
    """Different orders of the same names: as given, then rotated by equal steps, every second one backwards.

    So each name stands at several places of the list, and before and after each other name.

    >>> option_orders(["anger", "fear", "joy", "calm"], 3)
    [('anger', 'fear', 'joy', 'calm'), ('fear', 'anger', 'calm', 'joy'), ('joy', 'calm', 'anger', 'fear')]

    Args:
        count: at most so many; fewer names than that have fewer orders of this kind.
    """
    found = []
    for number in range(count):
        start = number * len(names) // count
        first, *rest = (*names[start:], *names[:start])
        found.append((first, *(reversed(rest) if number % 2 else rest)))
    return list(dict.fromkeys(found))


def questions(question: str, names: Sequence[str], orders: int) -> list[str]:
    """The question with the names listed in each order."""
    return list(dict.fromkeys(question.replace(OPTIONS, ", ".join(order)) for order in option_orders(names, orders)))


def named(text: str, names: Sequence[str]) -> int | None:
    """Which of the names a written answer gives: all of it or, failing that, the first that occurs as a word in it.

    >>> named("Happiness.", ["anger", "happiness"]), named("He looks angry, I think.", ["happiness", "angry"])
    (1, 1)
    >>> named("unhappy", ["happy"])

    Returns:
        Its number; None if there is none.
    """
    words = text.strip().strip(".!\"'").lower()
    lowered = [name.lower() for name in names]
    if words in lowered:
        return lowered.index(words)
    places = [
        (found.start(), -len(name), number)
        for number, name in enumerate(lowered)
        if (found := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words))
    ]
    return min(places)[2] if places else None
