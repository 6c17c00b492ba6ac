"""Compare plain CLIP with a head, item by item: which items the head fixed, which it broke, and clear examples."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.cache import Json

MAX_EXAMPLES = 12
"""Most examples of each kind."""


def prediction_changes(truth: np.ndarray, clip: np.ndarray, expclip: np.ndarray, paths: Sequence[str]) -> Json:
    """Count the items that the head fixed or broke, and pick examples of both.

    Args:
        truth: (n,) true classes.
        clip: (n, c) percentages under plain CLIP.
        expclip: (n, c) percentages under the head.
        paths: n paths relative to the dataset's root.

    Returns:
        JSON values. `counts`: items that are `right` under both classifiers, `fixed` by the head, `broken` by the head,
        or `wrong` under both. `fixed` and `broken`: up to `MAX_EXAMPLES` items each. The percentage of the true class
        changed most in these; the classes take turns, so no class crowds out the others.
    """
    right_before, right_after = clip.argmax(axis=1) == truth, expclip.argmax(axis=1) == truth
    true_class = np.arange(len(truth)), truth
    gain = expclip[true_class] - clip[true_class]
    fixed, broken = ~right_before & right_after, right_before & ~right_after
    examples = {
        "fixed": _pick_examples(np.flatnonzero(fixed), -gain, truth),
        "broken": _pick_examples(np.flatnonzero(broken), gain, truth),
    }
    return {
        "counts": {
            "right": int((right_before & right_after).sum()),
            "fixed": int(fixed.sum()),
            "broken": int(broken.sum()),
            "wrong": int((~right_before & ~right_after).sum()),
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
            for kind, rows in examples.items()
        },
    }


def _pick_examples(rows: np.ndarray, order: np.ndarray, truth: np.ndarray) -> list[int]:
    """At most `MAX_EXAMPLES` of `rows`: the first of each class by `order`, then the second of each, and so on."""
    seen: dict[int, int] = {}
    ranked = []
    for row in rows[np.argsort(order[rows], kind="stable")]:
        label = int(truth[row])
        seen[label] = seen.get(label, 0) + 1
        ranked.append((seen[label], label, int(row)))
    return [row for _, _, row in sorted(ranked)[:MAX_EXAMPLES]]
