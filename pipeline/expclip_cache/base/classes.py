"""The expression classes, their canonical order and the words that datasets use for them."""

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
"""The reference's class order. A benchmark has the first 7, the first 8 or all 11 classes."""

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
"""Canonical class name -> the adjective for a face that shows it."""

_WORDS = {adjective: name for name, adjective in ADJECTIVES.items()} | {name: name for name in CANONICAL}


def canonical_name(word: str) -> str | None:
    """The canonical class name for a folder name or label; None if the word is unknown.

    Accepts nouns and adjectives in upper or lower case.

    >>> canonical_name("Angry"), canonical_name("sadness"), canonical_name("boredom")
    ('anger', 'sadness', None)
    """
    return _WORDS.get(word.strip().lower())


def canonical_order(names: Iterable[str]) -> tuple[str, ...]:
    """Unique class names in canonical order; other names follow in the order given.

    >>> canonical_order(["fear", "boredom", "happiness"])
    ('happiness', 'fear', 'boredom')
    """
    distinct = dict.fromkeys(names)
    return tuple(name for name in CANONICAL if name in distinct) + tuple(n for n in distinct if n not in CANONICAL)
