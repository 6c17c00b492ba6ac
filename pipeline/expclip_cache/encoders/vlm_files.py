"""The files of an image-text model of transformers: a folder in its layout, or a repository on the hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import (
    NO_PICKLES,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    EncoderFiles,
    choose_files,
    commit_of,
)
from expclip_cache.encoders.kinds.hugging_face import KIND_OF, PREPROCESSOR, PROCESSOR
from expclip_cache.encoders.llm_files import CONFIG, INDEX, WEIGHTS, is_t5_encoder, weight_map
from expclip_cache.encoders.llm_settings import LlmModelSettings
from expclip_cache.encoders.model_folder import ModelFolder

CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")
"""How the makers write a conversation, unless that is in `TOKENIZER_CONFIG`."""

CODE_FREE = (TOKENIZER_CONFIG, PREPROCESSOR, PROCESSOR, "video_preprocessor_config.json", "chat_template.json")
"""JSON files that may name Python files to run, beside config.json; those that do are refused."""

ADAPTER = "adapter_config.json"

OTHER_FILES = (CONFIG, PREPROCESSOR, PROCESSOR, "video_preprocessor_config.json", "generation_config.json")


@dataclass(frozen=True)
class VlmFiles(EncoderFiles):
    """The files of an image-text model.

    Attributes:
        folder: with all of them.
    """

    folder: Path = Path()


def find_vlm_files(settings: LlmModelSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> VlmFiles:
    """Find the files of an image-text model, and download them unless `local_only`.

    Args:
        settings: of kind vlm.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: the folder or a file is missing, it is a model of another kind, it would run code, weights are
            only there as a pickle, or the hub cannot be reached.
    """

    def pick(folder: ModelFolder) -> VlmFiles:
        _check_kind(folder.read_json(CONFIG), folder)
        if not local_only:
            _check_class(folder)
        folder.refuse_code(*CODE_FREE)
        return VlmFiles(
            config=folder.matching((*OTHER_FILES, *CHAT_TEMPLATES)),
            tokenizer=folder.matching(TOKENIZER_FILES),
            weights=_weights(folder) if settings.weights == "pretrained" else (),
            commits=folder.commits,
            folder=folder.path,
        )

    revision = commit_of(commits, settings.model, settings.revision)
    return choose_files(settings.model, revision, "teacher", "blip2", pick, local_only=local_only)


def _check_kind(config: Mapping[str, object], folder: ModelFolder) -> None:
    """Refuse a model of another kind by its config, before its weights are downloaded."""
    kind, file = config.get("model_type"), folder.path / CONFIG
    expected = f"{folder.user}: expected an image-text model of transformers in {folder.path}, found"
    if is_t5_encoder(config):
        raise EncoderError(f"{expected} a {kind} with a T5. Set its kind: t5-encoder.")
    if not isinstance(kind, str):
        raise EncoderError(f"{expected} no model_type in {file.name}. Its files are of another library.")
    if kind in KIND_OF and kind != "blip-2":
        raise EncoderError(
            f"{expected} model_type {kind!r}, which writes no text. It can be a backbone: of kind {KIND_OF[kind]}."
        )
    if ADAPTER in folder.names():
        raise EncoderError(
            f"{folder.user}: {folder.path} has an {ADAPTER}: it holds an adapter of another model. Merge the two with "
            "peft (merge_and_unload) and name the folder of the result."
        )
    if config.get("quantization_config"):
        raise EncoderError(
            f"{folder.user}: the weights in {folder.path} are quantised ({file.name} has quantization_config). "
            "Name the model's repository with unquantised weights, and set precision: bf16 to save memory."
        )


def _check_class(folder: ModelFolder) -> None:
    """Refuse a model that this version of transformers does not have, which needs the library to be imported."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

    kind = folder.read_json(CONFIG)["model_type"]
    if kind not in NAMES:
        raise EncoderError(
            f"{folder.user}: {folder.path} has model_type {kind!r}, which is no image-text model of this version of "
            "transformers (AutoModelForImageTextToText). Install a newer one, or choose another model."
        )


def _weights(folder: ModelFolder) -> tuple[Path, ...]:
    there = folder.names()
    names = [WEIGHTS] if WEIGHTS in there or INDEX not in there else sorted(set(weight_map(folder).values()))
    if missing := [name for name in names if name not in there]:
        raise folder.missing(missing[0], NO_PICKLES)
    return folder.get_all(names)
