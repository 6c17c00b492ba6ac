"""Which score without labels ranks teachers as labels would? python -m benchmarks.teacher_scores [--unbalanced].

Reads the features and scores that `dvc repro` made for configs/demo.yaml in the current folder, and makes up the
targets of 60 teachers. A face was drawn from known action units, a known person and a known scene; a made-up teacher
knows some of each, some of what the demo's LLM knows, and adds noise and a constant. The command's own code compares
them. docs/comparing-teachers.md has the figures.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheWriter, FeatureCache
from expclip_cache.demo import (
    ACTION_UNITS,
    AGES,
    BEARDS,
    HAIR_COLOURS,
    HAIR_STYLES,
    SCENES,
    SHIRTS,
    FaceSpec,
    plan_face,
)
from expclip_cache.encoders import State
from expclip_cache.settings import Settings, load_settings, open_targets, study_teacher_inputs
from expclip_cache.teachers import (
    LABEL_FREE,
    TeacherInputs,
    TeacherRow,
    TeacherTargets,
    compare_teachers,
    rank_correlation,
)

WIDTH = 192
"""Of the made-up targets, that of the demo's LLM."""

KEPT = {"happiness": 1, "sadness": 0.3, "neutral": 0.9, "anger": 0.15, "surprise": 0.1, "disgust": 0.05, "fear": 0.05}
"""Expression -> share of its training faces that are kept with --unbalanced: as uneven as real training sets."""


def main(count: int, unbalanced: bool) -> None:
    """Print the made-up teachers, the best first, then a line for each score."""
    settings = load_settings()
    backbone = next(iter(settings.backbones))
    (inputs,) = study_teacher_inputs(settings, [backbone])
    draw = settings.datasets[settings.train.dataset].draw
    assert draw is not None
    faces = [plan_face(draw.seed, index) for index in range(draw.count)]
    chance = np.random.default_rng(0).random(len(faces))
    kept = [not unbalanced or own < KEPT[face.expression] for own, face in zip(chance, faces, strict=True)]
    with TemporaryDirectory() as folder:
        made_up = [
            _written(Path(folder) / f"{number}", inputs, f"{number}", known, targets, kept)
            for number, (known, targets) in enumerate(_teachers(settings, inputs, faces, count))
        ]
        found = compare_teachers([replace(inputs, targets=made_up)], settings.statistics, SilentReporter())
    rows = sorted(found.teachers, key=lambda row: -row.uar)
    _print_line("UAR", *LABEL_FREE.values(), "knows")
    _print_line(*["---"] * (len(LABEL_FREE) + 2))
    for row in rows:
        _print_line(f"{row.uar:.1f}", *(f"{getattr(row, key):.1f}" for key in LABEL_FREE), row.instruction)
    better = rows[: len(rows) // 2]
    print(f"\n{len(rows)} of {count} teachers have a head; best UAR {rows[0].uar:.1f}\n")
    _print_line("score", "correlation with UAR", "among the better half", "UAR of its choice")
    _print_line(*["---"] * 4)
    for key, name in LABEL_FREE.items():
        choice = max(rows, key=lambda row: getattr(row, key))
        _print_line(name, _shown(rows, key), _shown(better, key), f"{choice.uar:.1f}")


def _teachers(
    settings: Settings, inputs: TeacherInputs, faces: Sequence[FaceSpec], count: int
) -> Iterator[tuple[str, np.ndarray]]:
    """What each teacher knows, in words, and its (n, t) targets."""
    (llm,) = open_targets(settings, inputs.targets[0].name)
    parts = {
        "action units": _standardised([[face.units[unit] for unit in ACTION_UNITS] for face in faces]),
        "person": _standardised([_person(face) for face in faces]),
        "scene": _standardised([_scene(face) for face in faces]),
    }
    random = np.random.default_rng(1)
    llm_part = _unit_power(llm[:].astype(float) - llm[:].astype(float).mean(axis=0))
    for number in range(count):
        weights = np.where(random.random(4) < 0.5, 0, 10 ** random.uniform(-1.5, 0, 4))
        if not weights.any():
            weights[random.integers(4)] = 1
        mixed = np.hstack([weight * _unit_power(part) for weight, part in zip(weights, parts.values(), strict=False)])
        basis = np.linalg.qr(np.random.default_rng(number).normal(size=(WIDTH, WIDTH)))[0]
        signal = _unit_power(mixed @ basis[: mixed.shape[1]] + weights[3] * llm_part)
        noise, constant = random.choice([0, 0.5, 1, 2]), random.choice([0, 0.5, 2, 5])
        known = ", ".join(
            f"{name} {weight:.2g}" for name, weight in zip((*parts, "LLM"), weights, strict=True) if weight
        )
        yield (
            f"{known}; noise {noise:g}, constant {constant:g}",
            signal + noise * random.normal(size=signal.shape) / np.sqrt(WIDTH) + constant * basis[-1],
        )


def _person(face: FaceSpec) -> list[float]:
    person = face.person
    choices = (
        (person.age, AGES),
        (person.hair, HAIR_COLOURS),
        (person.hair_style, HAIR_STYLES),
        (person.beard, BEARDS),
    )
    numbers = (person.woman, person.glasses, sum(person.skin) / 765, person.jaw, person.width, person.pose.yaw)
    return [*numbers, *(own == name for own, names in choices for name in names)]


def _scene(face: FaceSpec) -> list[float]:
    person = face.person
    return [
        person.light,
        *(own == name for own, names in ((person.scene, SCENES), (person.shirt, SHIRTS)) for name in names),
    ]


def _standardised(values: Sequence[Sequence[float]]) -> np.ndarray:
    found = np.array(values, dtype=float)
    return (found - found.mean(axis=0)) / (found.std(axis=0) + 1e-3)


def _unit_power(values: np.ndarray) -> np.ndarray:
    """Scaled so that the mean squared length of a row is one."""
    return values / np.sqrt(np.square(values).sum(axis=1).mean())


def _written(
    folder: Path, inputs: TeacherInputs, name: str, known: str, targets: np.ndarray, kept: Sequence[bool]
) -> TeacherTargets:
    """A cache of targets; faces that are not kept have none."""
    with CacheWriter(
        folder,
        manifest=inputs.images.identity.settings["manifest"],
        settings={"encoder": "made-up", "number": name},
        encoder={},
        library="made up",
        shard_rows=inputs.images.shard_rows,
        dtype="float32",
    ) as writer:
        errors = ["" if face else "not kept" for face in kept]
        writer.add(targets.astype(np.float32), paths=inputs.images.paths(), errors=errors)
    return TeacherTargets(name, "made up", known, (State("all", 1.0),), FeatureCache(folder))


def _print_line(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def _shown(rows: Sequence[TeacherRow], score: str) -> str:
    found = rank_correlation(rows, score)
    return "" if found is None else f"{found:+.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teachers", type=int, default=60)
    parser.add_argument("--unbalanced", action="store_true", help="keep few training faces of the rarer expressions")
    given = parser.parse_args()
    main(given.teachers, given.unbalanced)
