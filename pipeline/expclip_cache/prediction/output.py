"""Predictions as text for the terminal and as JSON for programs."""

import json
import sys
from typing import TextIO

from expclip_cache.base import printable_name
from expclip_cache.prediction.result import Answer, Moment, Prediction, Ranked

BAR_WIDTH = 24
"""Length of a bar of 100 percent, in characters."""

BLOCKS = " ▏▎▍▌▋▊▉█"
"""Eighths of a character, from none to all."""


def prediction_to_bars(prediction: Prediction, compare: bool, top: int) -> str:
    """A block of lines for each face, with one bar per class.

    Args:
        prediction: of one photo or clip, with an answer.
        compare: show plain CLIP beside Exp-CLIP.
        top: number of classes shown.
    """
    return "\n".join(
        "\n".join([f"{printable_name(prediction.path)}{_note(prediction, number)}", *_bars(answer, compare, top)])
        for number, answer in enumerate(prediction.answers, start=1)
    )


def prediction_to_lines(prediction: Prediction, compare: bool, top: int) -> str:
    """One line for each face; the arguments are those of `prediction_to_bars`."""
    lines = []
    for number, answer in enumerate(prediction.answers, start=1):
        of_several = f"  face {number}" if len(prediction.answers) > 1 else ""
        unsure = "unsure: " * answer.unsure
        line = f"{printable_name(prediction.path)}{of_several}  {unsure}{_words(answer.ranked[:top])}"
        lines.append(f"{line}  (CLIP: {_words(answer.clip[:top])})" if compare else line)
    return "\n".join(lines)


def prediction_to_json(prediction: Prediction, top: int | None = None) -> str:
    """One JSON object on a line for each face, or one with the reason why there is no answer.

    Args:
        top: number of classes in it; all by default.
    """
    if not prediction.answers:
        return json.dumps({"path": prediction.path, "error": prediction.reason})
    return "\n".join(
        json.dumps({"path": prediction.path, **_answer(answer, top), "frames": prediction.frames})
        for answer in prediction.answers
    )


def moment_to_json(path: str, moment: Moment, top: int | None = None) -> str:
    """One JSON object on one line; the arguments are those of `prediction_to_json`."""
    answer = {"error": moment.reason} if moment.answer is None else _answer(moment.answer, top)
    return json.dumps({"path": path, "seconds": round(moment.seconds, 3), **answer})


def has_blocks(terminal: TextIO) -> bool:
    """Whether a terminal's encoding has the characters of the bars; Latin-1 and ASCII have not."""
    try:
        BLOCKS.encode(terminal.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _answer(answer: Answer, top: int | None) -> dict[str, object]:
    face = answer.face
    return {
        "best": answer.best,
        "unsure": answer.unsure,
        "expclip": None if answer.expclip is None else _percentages(answer.expclip, top),
        "clip": _percentages(answer.clip, top),
        "face": None if face is None else {"box": face.box, "found": face.found},
    }


def _percentages(ranked: Ranked, top: int | None) -> dict[str, float]:
    return {name: round(percent, 2) for name, percent in ranked[:top]}


def _note(prediction: Prediction, number: int) -> str:
    """The number of frames, the size of the face and whether the answer is unsure, in brackets."""
    parts = []
    if prediction.frames > 1:
        parts.append(f"{prediction.frames} frames")
    answer = prediction.answers[number - 1]
    if face := answer.face:
        size = f"{face.right - face.left} x {face.bottom - face.top}"
        if len(prediction.answers) > 1:
            parts.append(f"face {number} of {face.found}, {size}")
        else:
            parts.append(f"the largest of {face.found} faces, {size}" if face.found > 1 else f"face of {size}")
    if answer.unsure:
        parts.append("unsure")
    return f"  ({', '.join(parts)})" if parts else ""


def _bars(answer: Answer, compare: bool, top: int) -> list[str]:
    shown, clip = answer.ranked[:top], dict(answer.clip)
    longest = max(len(name) for name, _ in shown)
    lines = [f"  {'':{longest}}  {'Exp-CLIP':{BAR_WIDTH + 7}}  CLIP"] if compare else []
    for name, percent in shown:
        line = f"  {name:{longest}}  {_bar(percent)} {percent:4.0f} %"
        lines.append(line + (f"  {_bar(clip[name])} {clip[name]:4.0f} %" if compare else ""))
    return lines


def _words(ranked: Ranked) -> str:
    return ", ".join(f"{name} {percent:.0f} %" for name, percent in ranked)


def _bar(percent: float) -> str:
    eighths = round(percent / 100 * BAR_WIDTH * 8)
    if not has_blocks(sys.stdout):
        return ("#" * round(eighths / 8)).ljust(BAR_WIDTH)
    return (BLOCKS[8] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")).ljust(BAR_WIDTH)
