"""Find the files of a BLIP-2 or InstructBLIP: a folder in Hugging Face's layout, or a repository on the hub."""

import json
from pathlib import Path

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import (
    TOKENIZER_FILES,
    FolderFiles,
    hub_folder,
    local_folder,
    refuse_code,
    require_file,
)
from expclip_cache.encoders.settings import LlmSettings

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def find_llm_files(settings: LlmSettings, *, local_only: bool = False) -> FolderFiles:
    """Find the files that `load_blip2_t5` needs, and download them unless `local_only`.

    Raises:
        EncoderError: the folder or a file is missing, or the hub cannot be reached.
    """
    folder, revision = local_folder(settings.model, "teacher", "blip2"), None
    pretrained = settings.weights == "pretrained"
    if folder is None:
        patterns = ["config.json", *TOKENIZER_FILES, *(["*.safetensors", INDEX] if pretrained else [])]
        folder = hub_folder(settings.model, settings.revision, patterns, "teacher", local_only)
        revision = folder.name
    require_file(folder / "config.json", "teacher")
    refuse_code(folder, "teacher")
    return FolderFiles(folder, _weights(folder) if pretrained else (), revision)


def _weights(folder: Path) -> tuple[Path, ...]:
    """The one weights file, or those listed in its index, sorted by name."""
    index = folder / INDEX
    if not index.is_file():
        return (require_file(folder / WEIGHTS, "teacher"),)
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise EncoderError(
            f"teacher: {index} does not list the files of the weights ({error}). Download the folder again."
        ) from error
    return tuple(require_file(folder / name, "teacher") for name in names)
