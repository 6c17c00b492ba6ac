"""How many unlabelled faces a head is fitted on, and which."""

import numpy as np

from expclip_cache.base import SettingsError

SMALLEST = 100
"""The smallest number that is tried by default."""


def default_sizes(total: int, batch_size: int) -> list[int | None]:
    """100, 300, 1000, 3000 and so on below the total, from a full batch; then all, which None stands for.

    >>> default_sizes(10_000, 256)
    [300, 1000, 3000, None]
    """
    powers = [10**digits for digits in range(2, len(str(total)))]
    sizes = [factor * power for power in powers for factor in (1, 3)]
    return [*(size for size in sizes if max(SMALLEST, batch_size) <= size < total), None]


def refuse_too_many(number: int | str, total: int) -> int | None:
    """The number as a `Choice` has it: None for all.

    Raises:
        SettingsError: there are not as many faces.
    """
    if number == "all" or number == total:
        return None
    if int(number) > total:
        raise SettingsError(f"faces: {number:,} are asked for, but {total:,} have image features and targets.")
    return int(number)


def drawn_rows(rows: np.ndarray, number: int, draw: int) -> np.ndarray:
    """One random draw of faces.

    Draws of different numbers are nested: the first 100 of a draw are among its first 300.

    Args:
        rows: (m,) int64 ids to draw from.
        number: how many.
        draw: from 1; another one gives other faces.

    Returns:
        (number,) int64 ids, ascending.
    """
    return np.sort(np.random.default_rng(draw).permutation(rows)[:number])
