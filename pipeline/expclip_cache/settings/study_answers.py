"""The images that LLMs' own answers are calibrated with."""

from dataclasses import replace

from expclip_cache.datasets import Manifest


def calibration_images(training: Manifest, count: int) -> Manifest:
    """Some images of a training set, evenly spread over it; all of them if it has no more.

    Args:
        training: the manifest of the training set.
        count: how many are taken.
    """
    n = len(training.rows)
    rows = (training.rows[k * n // count] for k in range(count)) if count < n else training.rows
    return replace(training, rows=tuple(rows))
