"""The files of a backbone in transformers' layout: a folder, or a repository on the hub.

They are config.json, preprocessor_config.json, the tokenizer's files, and the weights: model.safetensors, or several
files with their index.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import (
    NO_PICKLES,
    PICKLED,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    EncoderFiles,
    choose_files,
    commit_of,
)
from expclip_cache.encoders.model_folder import ModelFolder
from expclip_cache.encoders.settings import ClipSettings

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
"""Where newer versions of transformers write what is in `PREPROCESSOR`, under `image_processor`."""

HUB = "hf-hub:"
"""May stand before owner/name, as for kind open-clip."""

KIND_OF = {
    "align": "transformers",
    "altclip": "transformers",
    "chinese_clip": "transformers",
    "clip": "transformers",
    "metaclip_2": "transformers",
    "siglip": "transformers",
    "flava": "flava",
    "xclip": "x-clip",
    "blip-2": "blip2-itc",
}
"""The kind that a model_type of transformers belongs to."""


@dataclass(frozen=True)
class HuggingFaceFiles(EncoderFiles):
    """The files of a backbone of transformers.

    Attributes:
        folder: of config.json and the tokenizer, and of the weights unless they are one file of the user's.
        one_file: whether the settings name a file of weights.
        preprocessor: what the makers say of how the model sees images; empty if they do not.
    """

    folder: Path = Path()
    one_file: bool = False
    preprocessor: Mapping[str, Any] = field(default_factory=dict)


def find_hugging_face_files(
    settings: ClipSettings,
    check: Callable[[Mapping[str, Any], Path], None],
    commits: Sequence[str] = (),
    *,
    local_only: bool = False,
) -> HuggingFaceFiles:
    """Find the files of a model, and download them unless `local_only`.

    Args:
        settings: `model` is a folder, owner/name or hf-hub:owner/name. `weights` is `pretrained`, `random`, or a file.
        check: called with the content of config.json and its path before anything else is read; raises EncoderError
            for a model that the kind does not take.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: a file is missing or would run code, weights are only there as a pickle, or the hub cannot be
            reached; or from `check`.
    """

    def pick(folder: ModelFolder) -> HuggingFaceFiles:
        check(folder.read_json(CONFIG), folder.path / CONFIG)
        folder.refuse_code(TOKENIZER_CONFIG)
        return HuggingFaceFiles(
            config=folder.matching((CONFIG, PREPROCESSOR, PROCESSOR)),
            preprocessor=_preprocessor(folder),
            tokenizer=folder.matching(TOKENIZER_FILES),
            weights=_weights(folder, settings.weights),
            commits=folder.commits,
            folder=folder.path,
            one_file=_names_a_file(settings.weights),
        )

    if settings.model == "demo":
        raise EncoderError(
            f"backbone: the demo's CLIP is of kind open-clip, not {settings.kind}. Set its model to a folder or "
            "owner/name, or leave out its kind."
        )
    repository = settings.model.removeprefix(HUB)
    revision = commit_of(commits, repository, settings.revision)
    return choose_files(repository, revision, "backbone", "", pick, local_only=local_only)


def check_model_type(config: Mapping[str, Any], file: Path, kind: str, more: Mapping[str, str] | None = None) -> None:
    """Make sure that a config is of a model that a kind takes.

    Args:
        config: content of config.json.
        file: its path, for messages.
        kind: of the settings.
        more: what to do about other values of model_type, in words.

    Raises:
        EncoderError: it is not; the message says which kind takes it, or what this kind takes.
    """
    found = config.get("model_type")
    if KIND_OF.get(str(found)) == kind:
        return
    taken = ", ".join(name for name, its in KIND_OF.items() if its == kind)
    if other := KIND_OF.get(str(found)):
        advice = f"Set its kind: {other}."
    else:
        others = ", ".join(f"{name} ({its})" for name, its in KIND_OF.items() if its != kind)
        advice = (more or {}).get(str(found)) or f"Other kinds take {others}."
    raise EncoderError(
        f"backbone: {file} has model_type {found!r}; kind {kind} takes models of the type {taken}. {advice}"
    )


def _names_a_file(weights: str) -> bool:
    return weights.endswith((".safetensors", *PICKLED))


def _preprocessor(folder: ModelFolder) -> Mapping[str, Any]:
    there = folder.names()
    if PREPROCESSOR in there:
        return folder.read_json(PREPROCESSOR)
    found = folder.read_json(PROCESSOR).get("image_processor") if PROCESSOR in there else {}
    return found if isinstance(found, dict) else {}


def _weights(folder: ModelFolder, weights: str) -> tuple[Path, ...]:
    if weights == "random":
        return ()
    if _names_a_file(weights):
        file = Path(weights).expanduser()
        return (ModelFolder(file.parent, folder.user).get(file.name),)
    if weights != "pretrained":
        raise EncoderError(
            f"{folder.user}: weights {weights!r} cannot be used with {folder.path}. Set its weights: pretrained (for "
            "its own), a file (.safetensors, .bin, .pt, .pth), or random."
        )
    there = folder.names()
    if WEIGHTS in there or INDEX not in there:
        return (folder.get(WEIGHTS, NO_PICKLES),)
    listed = folder.read_json(INDEX).get("weight_map")
    files = set(listed.values()) if isinstance(listed, dict) else set()
    if not files or not all(isinstance(file, str) and "/" not in file for file in files):
        raise EncoderError(
            f"{folder.user}: {folder.path / INDEX} does not list the files of the weights. Download the folder again."
        )
    return tuple(folder.get(file, NO_PICKLES) for file in sorted(files))
