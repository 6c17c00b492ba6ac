"""Which frames of a clip are looked at."""

from typing import Literal

from expclip_cache.base import DataError

ShortClip = Literal["first", "edge"]


def sample_indices(available: int, frames: int, short_clip: ShortClip) -> tuple[int, ...]:
    """Pick `frames` frames of a clip, the middle one of as many equal stretches.

    With more than `frames` frames, pick k is int(available / frames * (k + 0.5)), in integers so that it is
    exact. A clip with `frames` frames or fewer is short: the reference then takes the first frame again and
    again (`first`); `edge` takes every frame and repeats the last.

    Args:
        available: frames the clip has, at least 1.
        frames: frames wanted, at least 1; 16 in the reference.
        short_clip: the rule for short clips.

    Returns:
        `frames` indices in [0, available), never decreasing.

    Raises:
        DataError: the clip has no frames.

    >>> sample_indices(33, 4, "first"), sample_indices(3, 4, "edge")
    ((4, 12, 20, 28), (0, 1, 2, 2))
    """
    if available < 1:
        raise DataError(f"a clip with {available} frames cannot be sampled; expected at least 1.")
    if available > frames:
        return tuple(available * (2 * k + 1) // (2 * frames) for k in range(frames))
    if short_clip == "first":
        return (0,) * frames
    return tuple(min(k, available - 1) for k in range(frames))
