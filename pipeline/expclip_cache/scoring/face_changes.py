"""Which faces the head set right and which it broke, and the clearest of them with their scores."""

from collections.abc import Sequence

import numpy as np

SHOWN = 12
"""Faces kept of each kind."""


def shares(similarities: np.ndarray, logit_scale: float) -> np.ndarray:
    """CLIP's own reading of similarities: softmax of `logit_scale` times them, in percent.

    Args:
        similarities: (n, c) cosines, or means of cosines.
        logit_scale: exp of CLIP's parameter.

    Returns:
        (n, c) float64, each row summing to 100.
    """
    logits = logit_scale * np.asarray(similarities, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return 100.0 * powers / powers.sum(axis=1, keepdims=True)


def changed_faces(truth: np.ndarray, clip: np.ndarray, expclip: np.ndarray, paths: Sequence[str]) -> dict:
    """Compare two classifiers face by face.

    Args:
        truth: (n,) true classes.
        clip: (n, c) shares in percent under plain CLIP.
        expclip: (n, c) shares under the head.
        paths: n paths relative to the dataset's root.

    Returns:
        JSON values: how many are `right` under both, `fixed`, `broken` and `wrong` under both; and of fixed and broken
        ones those whose true class moved most, the classes taking turns so that no class crowds out the others.
    """
    before, after = clip.argmax(axis=1) == truth, expclip.argmax(axis=1) == truth
    own = np.arange(len(truth)), truth
    moved = expclip[own] - clip[own]
    chosen = {
        "fixed": _take_turns(np.flatnonzero(~before & after), -moved, truth),
        "broken": _take_turns(np.flatnonzero(before & ~after), moved, truth),
    }
    return {
        "counts": {
            "right": int((before & after).sum()),
            "fixed": int((~before & after).sum()),
            "broken": int((before & ~after).sum()),
            "wrong": int((~before & ~after).sum()),
        },
        **{
            kind: [
                {
                    "path": paths[row],
                    "truth": int(truth[row]),
                    "clip": [round(value, 1) for value in clip[row].tolist()],
                    "expclip": [round(value, 1) for value in expclip[row].tolist()],
                }
                for row in rows
            ]
            for kind, rows in chosen.items()
        },
    }


def _take_turns(rows: np.ndarray, order: np.ndarray, truth: np.ndarray) -> list[int]:
    """Up to SHOWN of `rows`: the first of each class by `order`, then the second of each, and so on."""
    ranked = rows[np.argsort(order[rows], kind="stable")]
    turn: dict[int, int] = {}
    places = []
    for row in ranked:
        label = int(truth[row])
        turn[label] = turn.get(label, 0) + 1
        places.append((turn[label], label, int(row)))
    return [row for _, _, row in sorted(places)[:SHOWN]]
