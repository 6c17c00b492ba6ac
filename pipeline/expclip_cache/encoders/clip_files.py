"""The files of a CLIP: a folder in open_clip's layout, or one of its built-in architectures and weight tags."""

import difflib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import util
from pathlib import Path, PurePosixPath
from typing import Any

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import (
    CONFIG_FILES,
    NO_PICKLES,
    PICKLED,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    EncoderFiles,
    choose_files,
    commit_of,
    local_folder,
)
from expclip_cache.encoders.hub import from_hub
from expclip_cache.encoders.model_folder import ModelFolder
from expclip_cache.encoders.settings import ClipSettings

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
"""Names that open_clip's weights have on the hub and in folders, the first first."""

HUB = "hf-hub:"


@dataclass(frozen=True)
class ClipFiles(EncoderFiles):
    """The files of a CLIP.

    Attributes:
        model: `model_cfg` of its open_clip_config.json; a text tower of transformers is named by the folder of its
            config.
        preprocess: how the model was trained to see images, where its makers say so: mean, std, interpolation and
            resize_mode, as in `preprocess_cfg` of open_clip_config.json.
        tokenizer_folder: of a tokenizer of transformers; None for open_clip's own.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_folder: Path | None = None


def find_clip_files(settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> ClipFiles:
    """Find the files that `load_clip` needs, and download them unless `local_only`.

    Args:
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: the model or tag is unknown, the weights do not belong to the model, a file is missing, or the hub
            cannot be reached.
    """
    if _is_architecture(settings):
        return _architecture(settings, commits, local_only)
    repository = settings.model.removeprefix(HUB)
    revision = commit_of(commits, repository, settings.revision)

    def pick(folder: ModelFolder) -> ClipFiles:
        config = folder.read_json(CONFIG)
        folder.refuse_code("config.json", TOKENIZER_CONFIG)
        model = config.get("model_cfg")
        if not isinstance(model, dict):
            raise EncoderError(f"{folder.user}: {folder.path / CONFIG} has no model_cfg.")
        return ClipFiles(
            config=folder.matching(CONFIG_FILES),
            tokenizer=folder.matching(TOKENIZER_FILES),
            weights=_folder_weights(folder, settings),
            commits=folder.commits,
            model=model,
            preprocess=config.get("preprocess_cfg") or {},
            tokenizer_folder=folder.path if _text(model).get("hf_tokenizer_name") else None,
        )

    found = choose_files(repository, revision, "backbone", "clip", pick, local_only=local_only)
    return _with_text_tower(found, commits, local_only)


def clip_config(settings: ClipSettings) -> Mapping[str, Any]:
    """`model_cfg` of a CLIP, without importing open_clip or using the network; empty if it is not on this machine."""
    try:
        if _is_architecture(settings):
            return _built_in(settings.model)
        untrained = settings.model_copy(update={"weights": "random"})
        return find_clip_files(untrained, local_only=True).model
    except EncoderError:
        return {}


def _is_architecture(settings: ClipSettings) -> bool:
    """Whether the model is named as one of open_clip's own: neither a folder nor a repository."""
    return local_folder(settings.model, "backbone", "clip") is None and not settings.model.startswith(HUB)


def _folder_weights(folder: ModelFolder, settings: ClipSettings) -> tuple[Path, ...]:
    if settings.weights == "random":
        return ()
    if settings.weights != "pretrained":
        raise EncoderError(
            f"backbone: weights {settings.weights!r} cannot be used with the folder {folder.path}, whose weights are "
            f"its own {WEIGHTS[0]}. Set its weights: pretrained (or random)."
        )
    return (_safe_weights(folder, WEIGHTS),)


def _safe_weights(folder: ModelFolder, names: Iterable[str]) -> Path:
    """The first of these files that there is."""
    names, there = tuple(names), folder.names()
    return folder.get(next((name for name in names if name in there), names[0]), NO_PICKLES)


def _architecture(settings: ClipSettings, commits: Sequence[str], local_only: bool) -> ClipFiles:
    """The files of one of open_clip's built-in architectures."""
    model = _built_in(settings.model)
    if not model:
        _refuse_unknown(settings.model)
    found = ClipFiles(model=model)
    if settings.weights.endswith((".safetensors", *PICKLED)):
        file = Path(settings.weights).expanduser()
        found = ClipFiles(model=model, weights=(ModelFolder(file.parent, "backbone").get(file.name),))
    elif settings.weights != "random":
        return _with_text_tower(_tagged(settings, model, commits, local_only), commits, local_only)
    if settings.revision is not None:
        raise EncoderError(
            f"backbone: revision {settings.revision!r} is of a repository on the hub, and weights: {settings.weights} "
            "come from none. Set its revision: null."
        )
    return _with_text_tower(found, commits, local_only)


def _tagged(settings: ClipSettings, model: dict[str, Any], commits: Sequence[str], local_only: bool) -> ClipFiles:
    """The file on the hub that one of open_clip's tags, such as `openai`, stands for."""
    import open_clip

    tag = open_clip.get_pretrained_cfg(settings.model, settings.weights)
    if not tag:
        tags = open_clip.list_pretrained_tags_by_model(settings.model)
        raise EncoderError(
            f"backbone: weights {settings.weights!r} is not a tag of {settings.model}. "
            f"{_similar(settings.weights, tags)}"
            f"Expected one of {', '.join(tags) or 'none'}, a file (.safetensors, .pt, .pth), or random."
        )
    trained = bool(tag.get("quick_gelu"))
    if trained != bool(model.get("quick_gelu")):
        other = f"{settings.model}-quickgelu" if trained else settings.model.removesuffix("-quickgelu")
        needed, used = ("with", "without") if trained else ("without", "with")
        raise EncoderError(
            f"backbone: the weights {settings.weights!r} were trained {needed} QuickGELU, but {settings.model} "
            f"runs {used} it, so its features would be wrong. Set its model: {other}."
        )
    repository, _, name = tag.get("hf_hub", "").rpartition("/")
    if not repository:
        raise EncoderError(
            f"backbone: weights {settings.weights!r} is published only as a pickle outside the hub.{NO_PICKLES}"
        )
    own = (str(PurePosixPath(name).with_suffix(".safetensors")),) if name else ()

    def pick(folder: ModelFolder) -> ClipFiles:
        weights = (_safe_weights(folder, (*own, *WEIGHTS)),)
        return ClipFiles(weights, commits=folder.commits, model=model, preprocess=tag)

    revision = commit_of(commits, repository, settings.revision)
    return from_hub(repository, revision, "backbone", pick, local_only=local_only)


def _with_text_tower(found: ClipFiles, commits: Sequence[str], local_only: bool) -> ClipFiles:
    """With the config and the tokenizer that a text tower of transformers takes from repositories of their own."""
    text = _text(found.model)

    def with_config(folder: ModelFolder) -> ClipFiles:
        folder.read_json("config.json")
        return replace(
            found,
            config=(*found.config, folder.get("config.json")),
            commits=(*found.commits, *folder.commits),
            model={**found.model, "text_cfg": {**text, "hf_model_name": str(folder.path)}},
        )

    def with_tokenizer(folder: ModelFolder) -> ClipFiles:
        folder.refuse_code("config.json", TOKENIZER_CONFIG)
        return replace(
            found,
            # Which class of tokenizer it is may be in the config alone.
            tokenizer=folder.matching((*TOKENIZER_FILES, "config.json")),
            commits=tuple(dict.fromkeys((*found.commits, *folder.commits))),
            tokenizer_folder=folder.path,
        )

    if tower := text.get("hf_model_name"):
        revision = commit_of(commits, tower, None)
        found = choose_files(tower, revision, "backbone", "", with_config, local_only=local_only)
    tokenizer = text.get("hf_tokenizer_name")
    if tokenizer and found.tokenizer_folder is None:
        revision = commit_of(commits, tokenizer, None)
        found = choose_files(tokenizer, revision, "backbone", "", with_tokenizer, local_only=local_only)
    return found


def _text(model: Mapping[str, Any]) -> dict[str, Any]:
    text = model.get("text_cfg")
    return text if isinstance(text, dict) else {}


def _built_in(name: str) -> dict[str, Any]:
    """The config of one of open_clip's architectures, without importing it; empty if there is none of that name."""
    if loaded := sys.modules.get("open_clip"):
        return loaded.get_model_config(name) or {}
    found = util.find_spec("open_clip")
    folder = Path(found.origin).parent / "model_configs" if found and found.origin else Path()
    try:
        return dict(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _refuse_unknown(name: str) -> None:
    import open_clip

    raise EncoderError(
        f"backbone: {name!r} is neither a folder nor an architecture of open_clip {open_clip.__version__}. "
        f"{_similar(name, open_clip.list_models())}Expected one of open_clip.list_models(), "
        f"hf-hub:<owner>/<name>, demo, or a folder with {CONFIG}."
    )


def _similar(name: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, list(known), n=4, cutoff=0.5)
    return f"Similar names: {', '.join(similar)}. " if similar else ""
