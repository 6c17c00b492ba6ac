"""Find the files of a CLIP: a folder in open_clip's layout, or one of its built-in architectures and weight tags."""

import difflib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import (
    TOKENIZER_FILES,
    EncoderFiles,
    hub_folder,
    local_folder,
    refuse_code,
    require_file,
    unavailable,
)
from expclip_cache.encoders.settings import ClipSettings

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def find_clip_files(settings: ClipSettings, *, local_only: bool = False) -> EncoderFiles:
    """Find the files that `load_clip` needs, and download them unless `local_only`.

    Raises:
        EncoderError: the model or tag is unknown, the weights do not belong to the model, a file is missing, or the hub
            cannot be reached.
    """
    folder, revision = local_folder(settings.model, "backbone", "clip"), None
    if folder is None and settings.model.startswith("hf-hub:"):
        repo = settings.model.removeprefix("hf-hub:")
        patterns = [CONFIG, *TOKENIZER_FILES, *([WEIGHTS] if settings.weights == "pretrained" else [])]
        folder = hub_folder(repo, None, patterns, "backbone", local_only)
        revision = folder.name
    if folder is None:
        return EncoderFiles(None, _architecture_weights(settings, local_only))
    require_file(folder / CONFIG, "backbone")
    refuse_code(folder, "backbone")
    if settings.weights == "random":
        return EncoderFiles(folder, (), revision)
    if settings.weights != "pretrained":
        raise EncoderError(
            f"backbone: weights {settings.weights!r} cannot be used with the folder {folder}, whose weights are its "
            f"own {WEIGHTS}. Set its weights: pretrained (or random)."
        )
    return EncoderFiles(folder, (require_file(folder / WEIGHTS, "backbone"),), revision)


def _architecture_weights(settings: ClipSettings, local_only: bool) -> tuple[Path, ...]:
    """The weights file of one of open_clip's built-in architectures; empty for random weights."""
    if settings.weights == "random" and local_only:
        return ()
    import open_clip

    known = open_clip.list_models()
    if settings.model not in known:
        raise EncoderError(
            f"backbone: {settings.model!r} is neither a folder nor an architecture of open_clip "
            f"{open_clip.__version__}. {_similar(settings.model, known)}Expected one of open_clip.list_models(), "
            f"hf-hub:<owner>/<name>, demo, or a folder with {CONFIG}."
        )
    if settings.weights == "random":
        return ()
    if settings.weights.endswith(".safetensors"):
        return (require_file(Path(settings.weights).expanduser(), "backbone"),)
    return (_tagged_weights(settings, local_only),)


def _tagged_weights(settings: ClipSettings, local_only: bool) -> Path:
    """The file on the hub that one of open_clip's tags, such as `openai`, stands for."""
    import open_clip
    from huggingface_hub import hf_hub_download

    tag = open_clip.get_pretrained_cfg(settings.model, settings.weights)
    if not tag:
        tags = open_clip.list_pretrained_tags_by_model(settings.model)
        raise EncoderError(
            f"backbone: weights {settings.weights!r} is not a tag of {settings.model}. "
            f"{_similar(settings.weights, tags)}"
            f"Expected one of {', '.join(tags) or 'none'}, a .safetensors file, or random."
        )
    trained = bool(tag.get("quick_gelu"))
    config = open_clip.get_model_config(settings.model) or {}
    if trained != bool(config.get("quick_gelu")):
        other = f"{settings.model}-quickgelu" if trained else settings.model.removesuffix("-quickgelu")
        needed, used = ("with", "without") if trained else ("without", "with")
        raise EncoderError(
            f"backbone: the weights {settings.weights!r} were trained {needed} QuickGELU, but {settings.model} "
            f"runs {used} it, so its features would be wrong. Set its model: {other}."
        )
    repo, _, name = tag.get("hf_hub", "").rpartition("/")
    if not repo:
        raise EncoderError(
            f"backbone: weights {settings.weights!r} is published only as a pickle, which is never loaded. Convert it "
            "to .safetensors once and set weights to that file."
        )
    stored = PurePosixPath(name)
    safe = WEIGHTS if stored.name in ("", "open_clip_pytorch_model.bin") else str(stored.with_suffix(".safetensors"))
    try:
        return Path(hf_hub_download(repo, safe, local_files_only=local_only))
    except (OSError, ValueError) as error:
        raise unavailable("backbone", f"{settings.model} with weights {settings.weights!r} ({repo})", error) from error


def _similar(name: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, list(known), n=4, cutoff=0.5)
    return f"Similar names: {', '.join(similar)}. " if similar else ""
