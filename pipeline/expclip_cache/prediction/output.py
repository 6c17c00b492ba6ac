"""Predictions as text for people and as JSON for programs."""

import json
from pathlib import Path

from expclip_cache.prediction.predictor import Prediction, Ranked

WIDTH = 24
"""Length of a bar of 100 percent, in letters."""


def to_block(prediction: Prediction, compare: bool, top: int) -> str:
    """One photo or clip with a bar for each class."""
    lines = [f"{prediction.path}{_looked_at(prediction)}"]
    shown = prediction.expclip[:top]
    longest = max(len(name) for name, _ in shown)
    plain = dict(prediction.clip)
    if compare:
        lines.append(f"  {'':{longest}}  {'Exp-CLIP':{WIDTH + 7}}  CLIP")
    for name, share in shown:
        line = f"  {name:{longest}}  {_bar(share)} {share:4.0f} %"
        lines.append(line + (f"  {_bar(plain[name])} {plain[name]:4.0f} %" if compare else ""))
    return "\n".join(lines)


def to_line(prediction: Prediction, compare: bool, top: int) -> str:
    """One photo or clip on one line, for many of them."""
    text = f"{prediction.path}  {_words(prediction.expclip[:top])}"
    return f"{text}  (CLIP: {_words(prediction.clip[:top])})" if compare else text


def to_json(prediction: Prediction) -> str:
    """One JSON object on one line."""
    face = prediction.face
    return json.dumps(
        {
            "path": prediction.path,
            "best": prediction.best,
            "expclip": {name: round(share, 2) for name, share in prediction.expclip},
            "clip": {name: round(share, 2) for name, share in prediction.clip},
            "face": None if face is None else {"box": face.box, "found": face.found},
            "frames": prediction.frames,
        }
    )


def refusal_to_json(path: Path, reason: str) -> str:
    """One JSON object on one line for an input without an answer."""
    return json.dumps({"path": str(path), "error": reason})


def _looked_at(prediction: Prediction) -> str:
    parts = []
    if prediction.frames > 1:
        parts.append(f"{prediction.frames} frames")
    if face := prediction.face:
        size = f"{face.right - face.left} x {face.bottom - face.top}"
        parts.append(f"the largest of {face.found} faces, {size}" if face.found > 1 else f"face of {size}")
    return f"  ({', '.join(parts)})" if parts else ""


def _words(ranked: Ranked) -> str:
    return ", ".join(f"{name} {share:.0f} %" for name, share in ranked)


def _bar(share: float) -> str:
    eighths = round(share / 100 * WIDTH * 8)
    return ("█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")).ljust(WIDTH)
