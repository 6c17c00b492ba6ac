"""Options that take a comma-separated list, may be repeated, or both: `--types 2,5`, `--types 2 --types 5`."""

from collections.abc import Iterable


def entries(given: Iterable[str]) -> list[str]:
    """The entries of all lists, in order.

    >>> entries(["b32, b16", "l14"])
    ['b32', 'b16', 'l14']
    """
    return [entry.strip() for text in given for entry in text.split(",") if entry.strip()]
