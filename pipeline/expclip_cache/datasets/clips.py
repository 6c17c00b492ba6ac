"""Turn clips and their frames into rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.listing import ListedRow, examples, in_path_order
from expclip_cache.datasets.sampling import sample_indices
from expclip_cache.datasets.settings import DatasetSettings


@dataclass(frozen=True)
class Clip:
    """A clip before sampling.

    Attributes:
        path: its folder, relative to the root.
        label: index into the classes, or UNLABELLED.
        frames: names of all frames in the folder, sorted.
        listed: the frame count in the clip list; None if there is no list or no count.
    """

    path: str
    label: int
    frames: Sequence[str]
    listed: int | None = None


def clip_rows(
    root: Path, clips: Sequence[Clip], dataset: DatasetSettings
) -> tuple[tuple[ListedRow, ...], tuple[str, ...]]:
    """Sample every clip.

    A clip without frames keeps its row, with its folder's path in place of frames: decoding it fails, so the policy
    for bad images decides what happens and no row goes missing.

    Returns:
        Rows of `dataset.frames` files each, in path order, and notes: short clips, clips without frames, and clips
        whose frame count differs from the list (`dataset.frame_count` says which of the two is used).

    Raises:
        DataError: most clips have no frames, or all are cut to the number of frames that is sampled.
    """
    empty = [clip.path for clip in clips if not clip.frames]
    if 2 * len(empty) > len(clips) or not clips:
        raise DataError(
            f"{root}: expected folders of frames, found no images in "
            f"{'any' if len(empty) == len(clips) else len(empty)} of {len(clips)} clips, such as "
            f"{examples(empty)}. Check the root and that the frames have been extracted."
        )
    cut = [clip for clip in clips if clip.listed and 0 < len(clip.frames) <= dataset.frames < clip.listed]
    if cut and len(cut) == sum(bool(clip.frames) for clip in clips):
        raise DataError(
            f"{root}: every clip has at most {dataset.frames} frames, and the list says more, for example "
            f"{cut[0].path}: listed {cut[0].listed}, found {len(cut[0].frames)}. This looks like a copy in which "
            "somebody has sampled frames already. Use the whole clips."
        )
    notes = []
    short = sum(0 < len(clip.frames) <= dataset.frames for clip in clips)
    if short:
        notes.append(
            f"{short} of {len(clips)} clips have at most {dataset.frames} frames (short_clip: {dataset.short_clip})"
        )
    if empty:
        notes.append(f"{len(empty)} of {len(clips)} clips have no frames and will fail to decode: {examples(empty)}")
    differing = [c for c in clips if c.frames and c.listed not in (None, len(c.frames))]
    if differing:
        counts = examples(f"{c.path}: listed {c.listed}, found {len(c.frames)}" for c in differing)
        notes.append(f"{len(differing)} of {len(clips)} clips have a different frame count than listed: {counts}")
    return in_path_order(ListedRow(clip.path, clip.label, _files(clip, dataset)) for clip in clips), tuple(notes)


def _files(clip: Clip, dataset: DatasetSettings) -> tuple[str, ...]:
    """Exactly `dataset.frames` paths."""
    if not clip.frames:
        return (clip.path,) * dataset.frames
    last = len(clip.frames) - 1
    count = clip.listed if dataset.frame_count == "listed" and clip.listed else len(clip.frames)
    indices = sample_indices(count, dataset.frames, dataset.short_clip)
    # A list may count more frames than there are.
    return tuple(f"{clip.path}/{clip.frames[min(index, last)]}" for index in indices)
