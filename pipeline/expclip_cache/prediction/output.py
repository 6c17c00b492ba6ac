"""Predictions as text for the terminal and as JSON for programs."""

import json
import sys
from pathlib import Path
from typing import TextIO

from expclip_cache.base import printable_name
from expclip_cache.prediction.result import Prediction, Ranked

BAR_WIDTH = 24
"""Length of a bar of 100 percent, in characters."""

BLOCKS = " ▏▎▍▌▋▊▉█"
"""Eighths of a character, from none to all."""


def prediction_to_bars(prediction: Prediction, compare: bool, top: int) -> str:
    """A block of lines with one bar per class.

    Args:
        prediction: of one photo or clip.
        compare: show plain CLIP beside Exp-CLIP.
        top: number of classes shown.
    """
    lines = [f"{printable_name(prediction.path)}{_note(prediction)}"]
    shown = prediction.expclip[:top]
    longest = max(len(name) for name, _ in shown)
    clip = dict(prediction.clip)
    if compare:
        lines.append(f"  {'':{longest}}  {'Exp-CLIP':{BAR_WIDTH + 7}}  CLIP")
    for name, percent in shown:
        line = f"  {name:{longest}}  {_bar(percent)} {percent:4.0f} %"
        lines.append(line + (f"  {_bar(clip[name])} {clip[name]:4.0f} %" if compare else ""))
    return "\n".join(lines)


def prediction_to_line(prediction: Prediction, compare: bool, top: int) -> str:
    """One line; the arguments are those of `prediction_to_bars`."""
    text = f"{printable_name(prediction.path)}  {_words(prediction.expclip[:top])}"
    return f"{text}  (CLIP: {_words(prediction.clip[:top])})" if compare else text


def prediction_to_json(prediction: Prediction) -> str:
    """One JSON object on one line."""
    face = prediction.face
    return json.dumps(
        {
            "path": prediction.path,
            "best": prediction.best,
            "expclip": {name: round(percent, 2) for name, percent in prediction.expclip},
            "clip": {name: round(percent, 2) for name, percent in prediction.clip},
            "face": None if face is None else {"box": face.box, "found": face.found},
            "frames": prediction.frames,
        }
    )


def error_to_json(path: Path, reason: str) -> str:
    """One JSON object on one line, for an input without an answer."""
    return json.dumps({"path": str(path), "error": reason})


def _note(prediction: Prediction) -> str:
    """The number of frames and the size of the face, in brackets."""
    parts = []
    if prediction.frames > 1:
        parts.append(f"{prediction.frames} frames")
    if face := prediction.face:
        size = f"{face.right - face.left} x {face.bottom - face.top}"
        parts.append(f"the largest of {face.found} faces, {size}" if face.found > 1 else f"face of {size}")
    return f"  ({', '.join(parts)})" if parts else ""


def _words(ranked: Ranked) -> str:
    return ", ".join(f"{name} {percent:.0f} %" for name, percent in ranked)


def _bar(percent: float) -> str:
    eighths = round(percent / 100 * BAR_WIDTH * 8)
    if not _has_blocks(sys.stdout):
        return ("#" * round(eighths / 8)).ljust(BAR_WIDTH)
    return (BLOCKS[8] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")).ljust(BAR_WIDTH)


def _has_blocks(terminal: TextIO) -> bool:
    """Whether a terminal's encoding has the characters of the bars; Latin-1 and ASCII have not."""
    try:
        BLOCKS.encode(terminal.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
