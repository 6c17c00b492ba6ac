"""The expression classes, their canonical order and the words datasets use for them."""

from collections.abc import Iterable

CANONICAL = (
    "happiness",
    "sadness",
    "neutral",
    "anger",
    "surprise",
    "disgust",
    "fear",
    "contempt",
    "anxiety",
    "helplessness",
    "disappointment",
)
"""The reference's class order: the first 7, 8 or all 11 make up a benchmark's classes."""

ADJECTIVES = {
    "happiness": "happy",
    "sadness": "sad",
    "neutral": "neutral",
    "anger": "angry",
    "surprise": "surprised",
    "disgust": "disgusted",
    "fear": "fearful",
    "contempt": "contemptuous",
    "anxiety": "anxious",
    "helplessness": "helpless",
    "disappointment": "disappointed",
}
"""Canonical name -> the adjective that describes a face showing it."""

_WORDS = {adjective: name for name, adjective in ADJECTIVES.items()} | {name: name for name in CANONICAL}


def canonical_name(word: str) -> str | None:
    """The canonical class a folder name or label means, or None for an unknown word.

    Nouns and adjectives are known, in any case.

    >>> canonical_name("Angry"), canonical_name("sadness"), canonical_name("boredom")
    ('anger', 'sadness', None)
    """
    return _WORDS.get(word.strip().lower())


def canonical_order(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct class names in canonical order; names that are not canonical come last, as given.

    >>> canonical_order(["fear", "boredom", "happiness"])
    ('happiness', 'fear', 'boredom')
    """
    distinct = dict.fromkeys(names)
    return tuple(name for name in CANONICAL if name in distinct) + tuple(n for n in distinct if n not in CANONICAL)
