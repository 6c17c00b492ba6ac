"""Where the stages write their files. dvc.yaml has the same paths; a test compares the two."""

from collections.abc import Sequence
from pathlib import Path

from expclip_cache.cache import json_sha256
from expclip_cache.encoders import AnswerSettings, LlmSettings

CROPS = Path("crops")
"""The boxes of the faces that were found in datasets."""

HEADS = Path("heads")
"""The fitted heads."""

ANSWERS = Path("features/answers")
"""The log-likelihoods of LLMs' own answers."""

MOMENTS = Path("moments")
"""The sums that ridge heads are fitted from: kept between runs, not an output of any stage, rebuilt if missing."""

HEAD_RESULTS = Path("results/heads")
"""Metrics and loss curves of the heads."""

SCORES = Path("results/scores")
"""The confusion matrices of every test set, in one folder per backbone, and in answers/ one per LLM that answers."""

PREDICTIONS = Path("results/predictions")
"""What every classifier makes of every item, in the same folders as `SCORES`."""

SCORES_TABLE = Path("results/scores.csv")
"""Every score of the study, one per line."""

STATISTICS = Path("results/statistics")
"""How far the scores can be trusted."""

REPORT = Path("report")
"""The report page and its tables."""

STUDY_MAPS = REPORT / "maps"
"""Maps of the study's features, made by `expclip-cache map`; no output of any stage."""

PROBES = Path("probes")
"""Results of supervised probes, made by `expclip-cache probe`; no output of any stage."""

TEACHERS = Path("teachers")
"""The teachers compared, by `expclip-cache teachers`; no output of any stage."""


def manifest_file(dataset: str) -> Path:
    """The manifest of a dataset."""
    return Path("manifests") / f"{dataset}.arrow"


def crop_file(dataset: str) -> Path:
    """The boxes of the faces in a dataset with `crop: detect`."""
    return CROPS / f"{dataset}.jsonl"


def image_features(backbone: str, dataset: str) -> Path:
    """The cache of a dataset's image features."""
    return Path("features/images") / backbone / dataset


def prompt_features(backbone: str) -> Path:
    """The cache of the prompt embeddings."""
    return Path("features/prompts") / backbone


def target_draws(teacher: str, settings: LlmSettings, dataset: str) -> tuple[Path, ...]:
    """The caches of a dataset's targets: a single one, or with dropout one per draw."""
    folder = Path("features/targets") / teacher / dataset
    if settings.mode == "eval":
        return (folder,)
    return tuple(folder / f"draw-{draw}" for draw in range(settings.draws))


def answer_features(name: str, dataset: str) -> Path:
    """The cache of an LLM's own answers for a test set."""
    return ANSWERS / name / dataset


def calibration_answers(name: str, settings: AnswerSettings, classes: Sequence[str]) -> Path:
    """The cache of its answers for training images; test sets with other classes have another.

    Raises:
        SettingsError: two classes are called the same.
    """
    names = [[one, list(called)] for one, called in settings.names_of(classes).items()]
    return ANSWERS / name / f"calibration-{json_sha256(names)[:8]}"


def head_folder(backbone: str, teacher: str) -> Path:
    """The heads of one backbone and teacher, see `complete_heads`."""
    return HEADS / backbone / teacher


def score_file(backbone: str, dataset: str) -> Path:
    """The confusion matrices of one test set."""
    return SCORES / backbone / f"{dataset}.json"


def prediction_file(backbone: str, dataset: str) -> Path:
    """Every prediction for one test set."""
    return PREDICTIONS / backbone / f"{dataset}.parquet"


def answer_score_file(name: str, dataset: str) -> Path:
    """The confusion matrices of an LLM's own answers for one test set."""
    return SCORES / "answers" / name / f"{dataset}.json"


def answer_prediction_file(name: str, dataset: str) -> Path:
    """What an LLM answers for every item of one test set."""
    return PREDICTIONS / "answers" / name / f"{dataset}.parquet"
