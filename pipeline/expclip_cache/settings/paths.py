"""Where the stages keep things; dvc.yaml says the same, and a test compares the two."""

from pathlib import Path

from expclip_cache.encoders import LlmSettings


def rendered_faces(dataset: str) -> Path:
    """The pictures of a rendered demo set."""
    return Path("data") / dataset


def manifest_file(dataset: str) -> Path:
    """The manifest of a dataset."""
    return Path("manifests") / f"{dataset}.jsonl"


def image_features(clip: str, dataset: str) -> Path:
    """The image features of a dataset under the CLIP called `clip` in params."""
    return Path("features") / clip / dataset


def prompt_features(clip: str) -> Path:
    """The prompt embeddings of the CLIP called `clip`."""
    return Path("features") / clip / "prompts"


def target_features(llm: str, dataset: str) -> Path:
    """The targets of a dataset under the LLM called `llm`."""
    return Path("features") / llm / dataset


def target_draws(llm: LlmSettings, dataset: str) -> tuple[Path, ...]:
    """The caches of a dataset's targets: one, or with dropout one for each draw."""
    folder = target_features(llm.name, dataset)
    if llm.mode == "eval":
        return (folder,)
    return tuple(folder / f"draw-{draw}" for draw in range(llm.draws))


def head_file(name: str) -> Path:
    """A head by its name, see `TrainSettings.heads`."""
    return Path("heads") / f"{name}.safetensors"


MOMENTS = Path("moments")
"""The sums that ridge heads are made from: kept between runs, no output of any stage, made again when missing."""


def training_results() -> Path:
    """Metrics and loss curve of the training."""
    return Path("results") / "train"


def score_results(dataset: str) -> Path:
    """Scores and confusion matrices of one test set."""
    return Path("results") / "score" / dataset


REPORT = Path("report")
