"""Which frames of a clip are encoded."""

from typing import Literal

from expclip_cache.base import DataError

ShortClip = Literal["first", "edge"]


def sample_indices(available: int, frames: int, short_clip: ShortClip) -> tuple[int, ...]:
    """Sample `frames` frames of a clip: the middle frame of each of `frames` equal segments.

    For a clip of more than `frames` frames, index k is int(available / frames * (k + 0.5)), in exact integer
    arithmetic. A clip of at most `frames` frames is short: `first` repeats its first frame, as the reference does;
    `edge` takes every frame and repeats the last one.

    Args:
        available: frames in the clip, at least 1.
        frames: frames to sample, at least 1; 16 in the reference.
        short_clip: the rule for short clips.

    Returns:
        `frames` indices in [0, available), in non-decreasing order.

    Raises:
        DataError: the clip has no frames.

    >>> sample_indices(33, 4, "first"), sample_indices(3, 4, "edge")
    ((4, 12, 20, 28), (0, 1, 2, 2))
    """
    if available < 1:
        raise DataError(f"cannot sample a clip of {available} frames; expected at least 1.")
    if available > frames:
        return tuple(available * (2 * k + 1) // (2 * frames) for k in range(frames))
    if short_clip == "first":
        return (0,) * frames
    return tuple(min(k, available - 1) for k in range(frames))
