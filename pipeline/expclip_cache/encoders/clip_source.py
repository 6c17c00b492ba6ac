"""Finding the files of a CLIP: open_clip's folders, its built-in architectures and its tags."""

import difflib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import TOKENIZER_FILES, Source, existing, hub_folder, local_folder, unreachable
from expclip_cache.encoders.settings import ClipSettings

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def clip_source(params: ClipSettings, *, local_only: bool = False) -> Source:
    """Find, or unless `local_only` download, what `load_clip` needs.

    Raises:
        EncoderError: unknown model or tag, weights that do not go with the model, missing files, no hub.
    """
    folder, revision = local_folder(params.model, "clip", "clip"), None
    if folder is None and params.model.startswith("hf-hub:"):
        repo = params.model.removeprefix("hf-hub:")
        patterns = [CONFIG, *TOKENIZER_FILES, *([WEIGHTS] if params.weights == "pretrained" else [])]
        folder = hub_folder(repo, None, patterns, "clip", local_only)
        revision = folder.name
    if folder is None:
        return Source(None, _architecture_weights(params, local_only))
    existing(folder / CONFIG, "clip")
    if params.weights == "random":
        return Source(folder, (), revision)
    if params.weights != "pretrained":
        raise EncoderError(
            f"clip.weights: {params.weights!r} does not go with the folder {folder}, which has its own "
            f"{WEIGHTS}. Set clip.weights: pretrained (or random)."
        )
    return Source(folder, (existing(folder / WEIGHTS, "clip"),), revision)


def _architecture_weights(params: ClipSettings, local_only: bool) -> tuple[Path, ...]:
    """Weights for one of open_clip's built-in architectures."""
    if params.weights == "random" and local_only:
        return ()
    import open_clip

    known = open_clip.list_models()
    if params.model not in known:
        raise EncoderError(
            f"clip.model: {params.model!r} is neither a folder nor an architecture of open_clip "
            f"{open_clip.__version__}. {_close(params.model, known)}Expected one of open_clip.list_models(), "
            f"hf-hub:<owner>/<name>, demo, or a folder with {CONFIG}."
        )
    if params.weights == "random":
        return ()
    if params.weights.endswith(".safetensors"):
        return (existing(Path(params.weights).expanduser(), "clip"),)
    return (_tagged_weights(params, local_only),)


def _tagged_weights(params: ClipSettings, local_only: bool) -> Path:
    """The hub's file behind one of open_clip's tags, such as `openai`."""
    import open_clip
    from huggingface_hub import hf_hub_download

    tag = open_clip.get_pretrained_cfg(params.model, params.weights)
    if not tag:
        tags = open_clip.list_pretrained_tags_by_model(params.model)
        raise EncoderError(
            f"clip.weights: {params.weights!r} is not a tag of {params.model}. {_close(params.weights, tags)}"
            f"Expected one of {', '.join(tags) or 'none'}, a .safetensors file, or random."
        )
    trained = bool(tag.get("quick_gelu"))
    if trained != bool(open_clip.get_model_config(params.model).get("quick_gelu")):
        other = f"{params.model}-quickgelu" if trained else params.model.removesuffix("-quickgelu")
        with_it, without = ("with", "without") if trained else ("without", "with")
        raise EncoderError(
            f"clip.model: the weights {params.weights!r} were trained {with_it} QuickGELU, and {params.model} "
            f"computes {without} it: its features would be wrong. Set clip.model: {other}."
        )
    repo, _, name = tag.get("hf_hub", "").rpartition("/")
    if not repo:
        raise EncoderError(
            f"clip.weights: {params.weights!r} is published as a pickle only, which is not loaded. Convert it "
            "once and give the .safetensors file."
        )
    stored = PurePosixPath(name)
    safe = WEIGHTS if stored.name in ("", "open_clip_pytorch_model.bin") else str(stored.with_suffix(".safetensors"))
    try:
        return Path(hf_hub_download(repo, safe, local_files_only=local_only))
    except (OSError, ValueError) as error:
        raise unreachable("clip", f"{params.model} with weights {params.weights!r} ({repo})", error) from error


def _close(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=4, cutoff=0.5)
    return f"Close to it: {', '.join(close)}. " if close else ""
