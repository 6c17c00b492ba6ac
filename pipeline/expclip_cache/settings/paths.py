"""Where the stages write their files. dvc.yaml has the same paths; a test compares the two."""

from pathlib import Path

from expclip_cache.encoders import LlmSettings

MOMENTS = Path("moments")
"""The sums that ridge heads are fitted from: kept between runs, not an output of any stage, rebuilt if missing."""

REPORT = Path("report")
"""The report page and its tables."""


def rendered_faces(dataset: str) -> Path:
    """The images of a rendered demo set."""
    return Path("data") / dataset


def manifest_file(dataset: str) -> Path:
    """The manifest of a dataset."""
    return Path("manifests") / f"{dataset}.jsonl"


def image_features(clip: str, dataset: str) -> Path:
    """The cache of a dataset's image features; `clip` is `clip.name` in params.yaml."""
    return Path("features") / clip / dataset


def prompt_features(clip: str) -> Path:
    """The cache of the prompt embeddings; `clip` is `clip.name` in params.yaml."""
    return Path("features") / clip / "prompts"


def target_features(llm: str, dataset: str) -> Path:
    """The folder of a dataset's targets; `llm` is `llm.name` in params.yaml."""
    return Path("features") / llm / dataset


def target_draws(llm: LlmSettings, dataset: str) -> tuple[Path, ...]:
    """The caches of a dataset's targets: a single one, or with dropout one per draw."""
    folder = target_features(llm.name, dataset)
    if llm.mode == "eval":
        return (folder,)
    return tuple(folder / f"draw-{draw}" for draw in range(llm.draws))


def head_file(name: str) -> Path:
    """The file of a head, by a name from `TrainSettings.heads`."""
    return Path("heads") / f"{name}.safetensors"


def training_results() -> Path:
    """The metrics and loss curve of the training."""
    return Path("results") / "train"


def score_results(dataset: str) -> Path:
    """The scores and confusion matrices of one test set."""
    return Path("results") / "score" / dataset
