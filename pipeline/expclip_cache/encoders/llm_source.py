"""Finding the files of a BLIP-2 or InstructBLIP: a Hugging Face folder or repository."""

import json
from pathlib import Path

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import TOKENIZER_FILES, Source, existing, hub_folder, local_folder
from expclip_cache.encoders.settings import LlmSettings

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def llm_source(params: LlmSettings, *, local_only: bool = False) -> Source:
    """Find, or unless `local_only` download, what `load_blip2_t5` needs.

    Raises:
        EncoderError: missing folder or files, or no hub.
    """
    folder, revision = local_folder(params.model, "llm", "blip2"), None
    wanted = params.weights == "pretrained"
    if folder is None:
        patterns = ["config.json", *TOKENIZER_FILES, *(["*.safetensors", INDEX] if wanted else [])]
        folder = hub_folder(params.model, params.revision, patterns, "llm", local_only)
        revision = folder.name
    existing(folder / "config.json", "llm")
    return Source(folder, _shards(folder) if wanted else (), revision)


def _shards(folder: Path) -> tuple[Path, ...]:
    """The one weights file, or those its index names, sorted by name."""
    index = folder / INDEX
    if not index.is_file():
        return (existing(folder / WEIGHTS, "llm"),)
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise EncoderError(
            f"llm.model: {index} does not list the shards of the weights ({error}). Fetch the folder again."
        ) from error
    return tuple(existing(folder / name, "llm") for name in names)
