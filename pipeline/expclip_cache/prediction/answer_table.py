"""Answers as a csv file that grows while they come."""

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from expclip_cache.base import make_folder
from expclip_cache.prediction.result import Answer, Moment, Prediction

PLACE = ("path", "seconds", "face", "left", "top", "right", "bottom")


class AnswerTable:
    """A row per face: where it is, its top class, whether that is unsure, and all percentages; or why it has none."""

    def __init__(self, file: Path, classes: Sequence[str], compare: bool):
        """Begin the file, in place of one that is there.

        Args:
            classes: a column for each.
            compare: another column for each, with plain CLIP.

        Raises:
            OSError: it cannot be written.
        """
        make_folder(file.parent)
        self._classes, self._compare = classes, compare
        # Names that are no UTF-8 are shown as text, for those who read the file.
        self._file = file.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._csv = csv.writer(self._file, lineterminator="\n")
        of_clip = [f"CLIP {name}" for name in classes] if compare else []
        self._csv.writerow([*PLACE, "best", "unsure", *classes, *of_clip, "error"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()

    def add_prediction(self, prediction: Prediction) -> None:
        """Add the rows of a photo or clip; they are in the file when this returns."""
        for number, answer in enumerate(prediction.answers, start=1):
            self._add(prediction.path, None, number, answer, "")
        if not prediction.answers:
            self._add(prediction.path, None, None, None, prediction.reason)

    def add_moment(self, path: str, moment: Moment) -> None:
        """Add the row of one time in a video, likewise."""
        self._add(path, moment.seconds, 1 if moment.answer else None, moment.answer, moment.reason)

    def _add(self, path: str, seconds: float | None, number: int | None, answer: Answer | None, reason: str) -> None:
        face = answer.face if answer else None
        ranked, clip = (dict(answer.ranked), dict(answer.clip)) if answer else ({}, {})
        percent = [ranked.get(name) for name in self._classes]
        percent += [clip.get(name) for name in self._classes] if self._compare else []
        self._csv.writerow(
            [
                path,
                "" if seconds is None else f"{seconds:.3f}",
                number,
                *(face.box if face else [""] * 4),
                answer.best if answer else "",
                answer is not None and answer.unsure,
                *("" if value is None else f"{value:.2f}" for value in percent),
                reason,
            ]
        )
        self._file.flush()
