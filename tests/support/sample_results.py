"""A study's result files, written by the code that writes them in the stages, from small caches with known features."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from answer_caches import write_answers
from expclip_cache.base.classes import CANONICAL
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.writer import CacheWriter
from expclip_cache.heads.current import head_path, head_seeds
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.results import write_head_results
from expclip_cache.heads.study import StudyHead
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.reporting.page.content import ReportInputs
from expclip_cache.scoring.answer_scores import read_answer_scores
from expclip_cache.scoring.answers import complete_answer_scores
from expclip_cache.scoring.prediction_file import PredictionFile
from expclip_cache.scoring.results import scores_csv
from expclip_cache.scoring.score_file import read_score_file
from expclip_cache.scoring.study import HeadToScore, complete_scores
from expclip_cache.settings.paths import (
    HEAD_RESULTS,
    SCORES_TABLE,
    STATISTICS,
    answer_features,
    answer_prediction_file,
    answer_score_file,
    calibration_answers,
    head_folder,
    image_features,
    prediction_file,
    prompt_features,
    score_file,
)
from expclip_cache.settings.settings import Settings
from expclip_cache.settings.study_report import report_inputs, shown_settings
from expclip_cache.statistics.items import read_answers
from expclip_cache.statistics.study import study_statistics
from expclip_cache.statistics.study_calibration import study_calibration
from expclip_cache.statistics.tables import write_calibration, write_statistics
from labelled_caches import write_labelled, write_prompts

WIDTH = 24
NUISANCE = 16
"""Components from here on are the same for every class."""

TEST_SETS = ("demo-clean", "demo-grey", "demo-occluded", "demo-drawing", "demo-clips")
CONTRASTIVE = {"kind": "contrastive", "epochs": 20, "batch_size": 70}
RIDGE = {"kind": "ridge", "choose": "fixed"}
BAD_PATH = "fear/<b>bold</b>.png"
REASON = "is truncated & bad"


def study(
    *,
    backbones: Sequence[str] = ("demo-clip",),
    teachers: Sequence[str] = ("demo-llm",),
    heads: Mapping[str, Mapping[str, object]] | None = None,
    prompts: Sequence[str] = ("reference",),
    test_sets: Sequence[str] = TEST_SETS,
    seeds: int = 3,
    answers: Sequence[str] = (),
) -> Settings:
    """The settings of a study; by default it has one of everything, but a contrastive and a ridge head."""
    default = {"contrastive": {**CONTRASTIVE, "seeds": list(range(1, seeds + 1))}, "ridge": RIDGE}
    drawing = {"source": "pipeline/expclip_cache/demo/drawing"}
    return Settings.model_validate(
        {
            "backbones": {name: {"model": "demo"} for name in backbones},
            "teachers": {name: {"model": "demo"} for name in teachers},
            "answers": {name: {"model": "demo", "names": {"happiness": ["happiness", "joy"]}} for name in answers},
            "prompts": {name: {"set": "clean" if name == "clean" else "reference"} for name in prompts},
            "train": {"dataset": "demo-train"},
            "heads": heads or default,
            "statistics": {"resamples": 500},
            "score": {"datasets": list(test_sets)},
            "datasets": {
                "demo-train": {**drawing, "draw": {"count": 10000, "seed": 101, "labelled": False}, "labelled": False},
                **{name: {**drawing, "draw": {"count": 1400, "seed": k}} for k, name in enumerate(test_sets)},
            },
        }
    )


def write_results(
    folder: Path,
    settings: Settings | None = None,
    *,
    classes: int = 7,
    items: int = 210,
    path: str = "{name}/{item:05d}.png",
) -> Settings:
    """Fill `folder`/results, and the caches and heads behind it; the first test set has a skipped row.

    Args:
        path: of an item; `{name}` is its class and `{item}` its number.

    Returns:
        The settings of these results, those of `study` by default.
    """
    settings = settings or study()
    names = CANONICAL[:classes]
    kinds = [(prompts.set, prompts.types) for prompts in settings.prompts.values()]
    texts = {prompt.text: names.index(prompt.class_name) for kind in kinds for prompt in prompt_table(*kind, names)}
    for number, backbone in enumerate(settings.backbones):
        random = np.random.default_rng(number)
        directions = random.standard_normal((classes, WIDTH))
        directions[:, NUISANCE:] = 0
        embeddings = directions[list(texts.values())] + 0.5 * _noise(random, len(texts))
        write_prompts(folder / prompt_features(backbone), embeddings, list(texts), weights=backbone)
        for test_set in settings.score.datasets:
            truth = np.arange(items) % classes
            features = directions[truth] + _noise(random, items)
            paths = [path.format(name=names[label], item=item) for item, label in enumerate(truth)]
            bad = test_set == settings.score.datasets[0]
            _write_images(folder / image_features(backbone, test_set), features, truth, paths, bad, backbone)
        heads = list(_heads(folder, settings, backbone, directions))
        for test_set in settings.score.datasets:
            complete_scores(
                folder / score_file(backbone, test_set),
                folder / prediction_file(backbone, test_set),
                FeatureCache(folder / image_features(backbone, test_set)),
                FeatureCache(folder / prompt_features(backbone)),
                settings.prompts,
                heads,
                backbone=backbone,
                test_set=test_set,
            )
    for number, name in enumerate(settings.answers):
        _write_answers(folder, settings, name, np.random.default_rng(100 + number), names, items, path)
    _write_tables(folder, settings)
    _write_head_results(folder / HEAD_RESULTS, settings)
    return settings


def inputs_of(settings: Settings, roots: Mapping[str, Path] | None = None) -> ReportInputs:
    """What the page is made from, for the results in the current folder."""
    found = report_inputs(settings)
    return replace(found, roots=roots or {}, settings=shown_settings(settings), versions={"python": "3.11.7"})


def _noise(random: np.random.Generator, n: int) -> np.ndarray:
    """(n, WIDTH), most of it where nothing tells the classes apart: a head that ignores those components is better."""
    return random.standard_normal((n, WIDTH)) * np.where(np.arange(WIDTH) < NUISANCE, 1.5, 4)


def _write_images(
    folder: Path, features: np.ndarray, truth: np.ndarray, paths: list[str], bad: bool, name: str
) -> None:
    """A labelled test set; with `bad`, the fourth row has no features."""
    errors = [""] * len(paths)
    if bad:
        paths[3], errors[3] = BAD_PATH, REASON
    with CacheWriter(
        folder,
        manifest=folder.name,
        settings={"encoder": "clip-image", "model": "demo"},
        encoder={"weights_sha256": name, "logit_scale": 100.0},
        library="open_clip 3.3.0, torch 2.13.0",
        classes=CANONICAL[: truth.max() + 1],
        shard_rows=len(paths),
        dtype="float32",
    ) as writer:
        writer.add(features, labels=truth, paths=paths, errors=errors)


def _heads(folder: Path, settings: Settings, backbone: str, directions: np.ndarray) -> Iterator[HeadToScore]:
    """Heads that keep what tells the classes apart, each with some noise of its own."""
    kept = np.linalg.qr(directions.T)[0].T
    random = np.random.default_rng(7)
    for of_backbone, teacher, heads in settings.pairs():
        for name, head in heads.items():
            for seed in head_seeds(head):
                weights = kept + 0.15 * random.standard_normal(kept.shape)
                if of_backbone == backbone:
                    path = head_path(folder / head_folder(backbone, teacher), name, seed)
                    write_head(path, weights, {"seed": seed})
                    yield HeadToScore(teacher, name, seed, path)


def _write_answers(
    folder: Path,
    settings: Settings,
    name: str,
    random: np.random.Generator,
    classes: Sequence[str],
    items: int,
    path: str,
) -> None:
    """An LLM that sees the faces about as well as CLIP, but likes to say some words more than others."""
    llm = settings.answers[name]
    called = llm.names_of(classes)
    of_class = np.repeat(np.arange(len(classes)), [len(one) for one in called.values()])
    habit = random.normal(-9, 1.5, len(of_class))

    def log_likelihoods(truth: np.ndarray) -> np.ndarray:
        return habit + 2.5 * (truth[:, None] == of_class) + random.normal(0, 1, (len(truth), len(of_class)))

    faces = log_likelihoods(random.integers(0, len(classes), 100))
    calibration = folder / calibration_answers(name, llm, classes)
    write_answers(calibration, faces, called, generated=np.zeros_like(faces), weights=name)
    for test_set in settings.score.datasets:
        truth = np.arange(items) % len(classes)
        seen = log_likelihoods(truth)
        written = np.eye(len(of_class))[seen.argmax(axis=1)] * (random.random(items) < 0.97)[:, None]
        bad = (3,) if test_set == settings.score.datasets[0] else ()
        paths = [path.format(name=classes[label], item=item) for item, label in enumerate(truth)]
        for row in bad:
            paths[row] = BAD_PATH
        place = folder / answer_features(name, test_set)
        write_answers(
            place, seen, called, generated=written, labels=truth, paths=paths, bad=bad, weights=name, reason=REASON
        )
        complete_answer_scores(
            folder / answer_score_file(name, test_set),
            folder / answer_prediction_file(name, test_set),
            FeatureCache(place),
            FeatureCache(calibration),
            name=name,
            test_set=test_set,
        )


def _write_tables(folder: Path, settings: Settings) -> None:
    own = [
        read_answer_scores(folder / answer_score_file(name, test_set))
        for name in settings.answers
        for test_set in settings.score.datasets
    ]
    files = [score_file(backbone, name) for backbone in settings.backbones for name in settings.score.datasets]
    (folder / SCORES_TABLE).write_text(scores_csv([*(read_score_file(folder / file) for file in files), *own]))
    test_sets = {name: settings.datasets[name] for name in settings.score.datasets}
    files = {
        name: {key: PredictionFile(folder / prediction_file(key, name)) for key in settings.backbones}
        for name in test_sets
    }
    answers = {
        name: read_answers(
            of_backbone, (PredictionFile(folder / answer_prediction_file(llm, name)) for llm in settings.answers)
        )
        for name, of_backbone in files.items()
    }
    found = study_statistics(answers, test_sets, settings.statistics)
    write_statistics(found, folder / STATISTICS)
    write_calibration(study_calibration(files), folder / STATISTICS)


def _write_head_results(folder: Path, settings: Settings) -> None:
    fitted = {
        (backbone, teacher): [
            StudyHead(name, seed, Path(), _found(seed, getattr(head, "epochs", 0)), fitted=True)
            for name, head in heads.items()
            for seed in head_seeds(head)
        ]
        for backbone, teacher, heads in settings.pairs()
    }
    described = {
        "images": {name: _describe(folder, name) for name in settings.backbones},
        "targets": {name: _describe(folder, name) for name in settings.teachers},
    }
    write_head_results(folder, fitted, described)


def _found(seed: int | None, epochs: int) -> dict[str, object]:
    """What a fit records: the losses of a contrastive head, the lambda of a ridge head."""
    if seed is None:
        return {"rows": 10000, "held_out": 0, "lambda": 0.1, "held_out_loss": None, "chance": None}
    return {"rows": 10000, "steps": 780, "losses": [3.2 + 2.1 / (epoch + 0.1 * seed) for epoch in range(1, epochs + 1)]}


def _describe(folder: Path, name: str) -> object:
    """`FeatureCache.describe()` of a small training set."""
    cache = folder.parents[1] / "features/training" / name
    if not cache.exists():
        paths = [f"{row}.png" for row in range(4)]
        write_labelled(cache, np.ones((4, 3)), np.full(4, -1), paths, (), weights=name)
    return FeatureCache(cache).describe()
