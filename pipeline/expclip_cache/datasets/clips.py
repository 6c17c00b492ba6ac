"""Turn clips, which are folders of frames or videos, into rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root
from expclip_cache.datasets.boxes import Box
from expclip_cache.datasets.file_names import is_video
from expclip_cache.datasets.folder_walk import frame_names
from expclip_cache.datasets.listing import ListedRow, examples, in_path_order
from expclip_cache.datasets.sampling import sample_indices
from expclip_cache.datasets.settings import DatasetSettings


@dataclass(frozen=True)
class Clip:
    """A clip before sampling.

    Attributes:
        path: its folder or video, relative to the root.
        label: index into the classes, or UNLABELLED.
        frames: names of all frames in the folder, sorted; None for a video, whose frames are known once it is decoded.
        listed: the frame count in the clip list; None if there is no list or no count.
        box: of the face in every frame; None for whole frames.
    """

    path: str
    label: int
    frames: Sequence[str] | None
    listed: int | None = None
    box: Box | None = None

    @property
    def is_missing(self) -> bool:
        """Whether it is a folder without frames."""
        return self.frames is not None and not self.frames


def clip_at(root: Path, path: str, label: int, listed: int | None = None, box: Box | None = None) -> Clip:
    """The clip at a path: a video, or a folder of frames.

    Raises:
        DataError: the folder cannot be listed.
    """
    video = is_video(path) and (root / path).is_file()
    return Clip(path, label, None if video else frame_names(root / path), listed, box)


def clip_rows(
    root: Root, clips: Sequence[Clip], dataset: DatasetSettings
) -> tuple[Sequence[ListedRow], tuple[str, ...]]:
    """Sample every clip.

    A clip without frames keeps its row, with its folder's path in place of frames: decoding it fails, so the policy
    for bad images decides what happens and no row goes missing.

    Returns:
        Rows of `dataset.frames` files each, in path order, and notes: short clips, clips without frames, and clips
        whose frame count differs from the list (`dataset.frame_count` says which of the two is used).

    Raises:
        DataError: most clips have no frames, or all are cut to the number of frames that is sampled.
    """
    empty = [clip.path for clip in clips if clip.is_missing]
    if 2 * len(empty) > len(clips) or not clips:
        raise DataError(
            f"{root}: expected folders of frames or videos, found no images in "
            f"{'any' if len(empty) == len(clips) else len(empty)} of {len(clips)} clips, such as "
            f"{examples(empty)}. Check the root and that the archive has been unpacked."
        )
    folders = [clip for clip in clips if clip.frames]
    counted = [(clip, len(clip.frames or ()), clip.listed) for clip in folders]
    cut = [(clip, found, listed) for clip, found, listed in counted if listed and found <= dataset.frames < listed]
    if cut and len(cut) == len(folders):
        clip, found, listed = cut[0]
        raise DataError(
            f"{root}: every clip has at most {dataset.frames} frames, and the list says more, for example "
            f"{clip.path}: listed {listed}, found {found}. This looks like a copy in which somebody has sampled frames "
            "already. Use the whole clips."
        )
    notes = []
    short = sum(found <= dataset.frames for _, found, _ in counted)
    if short:
        notes.append(
            f"{short} of {len(clips)} clips have at most {dataset.frames} frames (short_clip: {dataset.short_clip})"
        )
    if empty:
        notes.append(f"{len(empty)} of {len(clips)} clips have no frames and will fail to decode: {examples(empty)}")
    differing = [(clip, found, listed) for clip, found, listed in counted if listed not in (None, found)]
    if differing:
        counts = examples(f"{clip.path}: listed {listed}, found {found}" for clip, found, listed in differing)
        notes.append(f"{len(differing)} of {len(clips)} clips have a different frame count than listed: {counts}")
    if videos := sum(clip.frames is None for clip in clips):
        notes.append(f"{videos} of {len(clips)} clips are videos, whose frames are sampled when they are decoded")
    rows = (ListedRow(clip.path, clip.label, _files(clip, dataset), _boxes(clip, dataset)) for clip in clips)
    return in_path_order(rows), tuple(notes)


def _files(clip: Clip, dataset: DatasetSettings) -> tuple[str, ...]:
    """Exactly `dataset.frames` paths."""
    if not clip.frames:
        return (clip.path,) * dataset.frames
    last = len(clip.frames) - 1
    count = clip.listed if dataset.frame_count == "listed" and clip.listed else len(clip.frames)
    indices = sample_indices(count, dataset.frames, dataset.short_clip)
    # A list may count more frames than there are.
    return tuple(f"{clip.path}/{clip.frames[min(index, last)]}" for index in indices)


def _boxes(clip: Clip, dataset: DatasetSettings) -> tuple[Box, ...]:
    return () if clip.box is None else (clip.box,) * dataset.frames
