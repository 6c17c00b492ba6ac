"""From clips and their frames to rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.listing import Row, in_path_order, some
from expclip_cache.datasets.sampling import sample_indices
from expclip_cache.datasets.settings import DatasetSettings


@dataclass(frozen=True)
class Clip:
    """A clip before sampling.

    Attributes:
        path: its folder, relative to the root.
        label: index into the classes, or UNLABELLED.
        frames: names of all frames in the folder, sorted.
        listed: how many frames a list promises; None where nothing does.
    """

    path: str
    label: int
    frames: Sequence[str]
    listed: int | None = None


def clip_rows(root: Path, clips: Sequence[Clip], params: DatasetSettings) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Sample every clip.

    A clip without a single frame keeps its row and names its folder in place of frames: reading it fails, and
    what follows is the policy for bad images, not a row that silently went missing.

    Returns:
        Rows of `params.frames` files each, in path order, and notes: short clips, clips without frames, and
        frame counts that differ from the list (the folder counts, not the list).

    Raises:
        DataError: no clip has a frame.
    """
    if not any(clip.frames for clip in clips):
        raise DataError(
            f"{root}: expected folders of frames, found no image in any of {len(clips)} clips, for example "
            f"{some(clip.path for clip in clips)}. Check the root and that the frames are extracted."
        )
    notes = []
    short = sum(0 < len(clip.frames) <= params.frames for clip in clips)
    if short:
        notes.append(
            f"{short} of {len(clips)} clips have at most {params.frames} frames (short_clip: {params.short_clip})"
        )
    empty = [clip.path for clip in clips if not clip.frames]
    if empty:
        notes.append(f"{len(empty)} of {len(clips)} clips have no frames and will fail to decode: {some(empty)}")
    differing = [c for c in clips if c.frames and c.listed not in (None, len(c.frames))]
    if differing:
        examples = some(f"{c.path}: listed {c.listed}, found {len(c.frames)}" for c in differing)
        notes.append(f"{len(differing)} of {len(clips)} clips have other frame counts than listed: {examples}")
    return in_path_order(Row(clip.path, clip.label, _files(clip, params)) for clip in clips), tuple(notes)


def _files(clip: Clip, params: DatasetSettings) -> tuple[str, ...]:
    """Exactly `params.frames` paths."""
    if not clip.frames:
        return (clip.path,) * params.frames
    picks = sample_indices(len(clip.frames), params.frames, params.short_clip)
    return tuple(f"{clip.path}/{clip.frames[pick]}" for pick in picks)
