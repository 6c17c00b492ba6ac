"""A study of several teachers on small caches: one that knows the classes, one that does not, one with four states."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from expclip_cache.settings.paths import image_features, target_draws
from expclip_cache.settings.settings import Settings
from sample_results import NUISANCE, WIDTH, study, write_results
from tiny_caches import write_cache

ROWS, TARGET_WIDTH, CLASSES = 400, 20, 7
HEADS = {"ridge": {"kind": "ridge", "held_out": 0.2, "batch_size": 40}}
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


def teacher_study(backbones: Sequence[str]) -> Settings:
    """Its settings."""
    return with_teachers(study(backbones=backbones, teachers=("knows",), test_sets=("clean", "grey"), heads=HEADS))


def with_teachers(settings: Settings) -> Settings:
    """A study with these teachers too, but the same heads: they name its first teacher."""
    tree = settings.model_dump(exclude_unset=True)
    first = next(iter(settings.teachers))
    heads = {name: {**head, "teachers": [first]} for name, head in tree["heads"].items()}
    teachers = {**tree["teachers"], **TEACHERS}
    return Settings.model_validate(tree | {"heads": heads, "teachers": teachers, "statistics": {"resamples": 200}})


def write_teacher_study(folder: Path, settings: Settings) -> None:
    """Its results, and everything behind them."""
    write_results(folder, settings, items=84)
    write_training(folder, settings)


def write_training(folder: Path, settings: Settings) -> None:
    """The image features of the training set, one row without, and the targets of every teacher."""
    for number, backbone in enumerate(settings.backbones):
        directions = np.random.default_rng(number).standard_normal((CLASSES, WIDTH))
        directions[:, NUISANCE:] = 0
        random = np.random.default_rng(100)
        truth = random.integers(CLASSES, size=ROWS)
        noise = random.standard_normal((ROWS, WIDTH)) * np.where(np.arange(WIDTH) < NUISANCE, 1.5, 4)
        features = (directions[truth] + noise).astype("f4")
        place = folder / image_features(backbone, settings.train.dataset)
        write_cache(place, features, 64, (7,), manifest="train", logit_scale=100.0, weights_sha256=backbone)
        if number == 0:
            _write_targets(folder, settings, features)


def _write_targets(folder: Path, settings: Settings, features: np.ndarray) -> None:
    random = np.random.default_rng(200)
    telling, nuisance = features[:, :NUISANCE], features[:, NUISANCE:]

    def targets(known: np.ndarray, noise: float) -> np.ndarray:
        signal = known @ random.standard_normal((known.shape[1], TARGET_WIDTH))
        spread = noise * signal.std() * random.standard_normal(signal.shape)
        return (signal + spread + 2 * random.standard_normal(TARGET_WIDTH)).astype("f2")

    for name, llm in settings.teachers.items():
        (place,) = target_draws(name, llm, settings.train.dataset)
        noises = [0.3] if len(llm.states) == 1 else [2.0, 1.0, 0.5, 0.2]
        known = nuisance if name == "ignores" else telling
        several = {"vectors": len(noises)} if len(noises) > 1 else {}
        write_cache(
            folder / place,
            np.hstack([targets(known, noise) for noise in noises]),
            48,
            manifest="train",
            settings={"states": list(map(str, llm.states))} if several else {},
            width=TARGET_WIDTH,
            **several,
        )
