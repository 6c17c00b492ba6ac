"""A study of several teachers on small caches: one that knows the classes, one that does not, one with four states."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from expclip_cache.settings.paths import image_features, target_draws
from expclip_cache.settings.settings import Settings
from sample_results import NUISANCE, WIDTH, study, write_results
from tiny_caches import write_cache

ROWS, TARGET_WIDTH, CLASSES = 400, 20, 7
RIDGE = {"kind": "ridge", "held_out": 0.2, "batch_size": 40, "teachers": ["knows"]}
TEACHERS: Mapping[str, Mapping[str, object]] = {
    "knows": {"model": "demo", "instruction": "Describe the\nface."},
    "ignores": {"model": "demo", "instruction": ""},
    "vlm": {
        "kind": "vlm",
        "model": "some/vlm",
        "instruction": "One word, please.",
        "keep_layers": [0.5],
        "keep_reads": ["text"],
    },
}
STATES = ("last@0.5", "last@1", "text@0.5", "text@1")
"""Of the teacher `vlm`, in the order of their vectors."""


def teacher_study(**more: object) -> Settings:
    """Its settings; see `sample_results.study` for `more`."""
    heads = {"ridge": RIDGE}
    settings = study(teachers=("knows",), test_sets=("clean", "grey"), heads=heads, **more)  # pyright: ignore[reportArgumentType]
    tree = settings.model_dump(exclude_unset=True) | {"teachers": TEACHERS}
    return Settings.model_validate(tree | {"statistics": {"resamples": 200}})


def write_teacher_study(folder: Path, settings: Settings, *, bad: tuple[int, ...] = (7,)) -> None:
    """Its results, the image features behind them, and those of the training set with every teacher's targets.

    Args:
        bad: rows of the training set without image features.
    """
    write_results(folder, settings, items=84)
    for number, backbone in enumerate(settings.backbones):
        directions = np.random.default_rng(number).standard_normal((CLASSES, WIDTH))
        directions[:, NUISANCE:] = 0
        random = np.random.default_rng(100)
        truth = random.integers(CLASSES, size=ROWS)
        noise = random.standard_normal((ROWS, WIDTH)) * np.where(np.arange(WIDTH) < NUISANCE, 1.5, 4)
        features = (directions[truth] + noise).astype("f4")
        place = folder / image_features(backbone, settings.train.dataset)
        write_cache(place, features, 64, bad, manifest="train", logit_scale=100.0, weights_sha256=backbone)
        if number == 0:
            _write_targets(folder, settings, features)


def _write_targets(folder: Path, settings: Settings, features: np.ndarray) -> None:
    random = np.random.default_rng(200)
    telling, nuisance = features[:, :NUISANCE], features[:, NUISANCE:]

    def targets(known: np.ndarray, noise: float) -> np.ndarray:
        signal = known @ random.standard_normal((known.shape[1], TARGET_WIDTH))
        spread = noise * signal.std() * random.standard_normal(signal.shape)
        return (signal + spread + 2 * random.standard_normal(TARGET_WIDTH)).astype("f2")

    found = {
        "knows": targets(telling, 0.3),
        "ignores": targets(nuisance, 0.3),
        "vlm": np.hstack([targets(telling, noise) for noise in (2.0, 1.0, 0.5, 0.2)]),
    }
    for name, values in found.items():
        (place,) = target_draws(name, settings.teachers[name], settings.train.dataset)
        several = {"vectors": len(STATES)} if name == "vlm" else {}
        states = {"states": list(STATES)} if name == "vlm" else {}
        write_cache(folder / place, values, 48, manifest="train", settings=states, width=TARGET_WIDTH, **several)
