"""The files of a BLIP-2 or InstructBLIP: a folder in Hugging Face's layout, or a repository on the hub."""

import re
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
from expclip_cache.encoders.llm_settings import LlmModelSettings, LlmSettings
from expclip_cache.encoders.model_folder import ModelFolder

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

COUNTERS = [r"\.position_ids$"]
"""0, 1, 2, ..., which old versions of transformers stored among the weights."""

UNREAD = [r"^language_model\.decoder\.", r"^language_model\.lm_head\.", *COUNTERS]
"""Tensors of a complete checkpoint that targets do not need."""

TOKEN_TABLES = {"language_model.shared.weight", "language_model.encoder.embed_tokens.weight"}
"""Encoder and decoder share T5's token table, which is stored under one of these names, or else under this:"""

DECODER_TABLE = "language_model.decoder.embed_tokens.weight"

KINDS = ("blip-2", "instructblip")


@dataclass(frozen=True)
class LlmFiles(EncoderFiles):
    """The files of a BLIP-2 or InstructBLIP.

    Attributes:
        folder: with all of them; of a checkpoint in several files it may hold only those that are needed.
        tensors: weights file of each tensor that is needed; None if all are in one file.
    """

    folder: Path = Path()
    tensors: Mapping[str, str] | None = None


def find_llm_files(settings: LlmModelSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> LlmFiles:
    """Find the files of a BLIP-2 or InstructBLIP, and download them unless `local_only`.

    Args:
        settings: of a teacher, which needs no decoder, or of answers, which need the whole model.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: the folder or a file is missing, it is a model of another kind, or the hub cannot be reached.
    """

    def pick(folder: ModelFolder) -> LlmFiles:
        _check_kind(folder)
        folder.refuse_code(TOKENIZER_CONFIG, f"qformer_tokenizer/{TOKENIZER_CONFIG}")
        unread = UNREAD if isinstance(settings, LlmSettings) else COUNTERS
        tensors = _tensors(folder, unread) if settings.weights == "pretrained" and INDEX in folder.names() else None
        names = [] if settings.weights == "random" else sorted(set(tensors.values())) if tensors else [WEIGHTS]
        return LlmFiles(
            config=(folder.get(CONFIG),),
            tokenizer=folder.matching(TOKENIZER_FILES),
            weights=_weights(folder, names),
            commits=folder.commits,
            folder=folder.path,
            tensors=tensors,
        )

    revision = commit_of(commits, settings.model, settings.revision)
    return choose_files(settings.model, revision, "teacher", "blip2", pick, local_only=local_only)


def _check_kind(folder: ModelFolder) -> None:
    """Refuse a model of another kind by its config, before its weights are downloaded."""
    config = folder.read_json(CONFIG)
    if not is_t5_encoder(config):
        kind, language = _model_types(config)
        raise EncoderError(
            f"{folder.user}: expected a BLIP-2 or InstructBLIP with a T5 language model in {folder.path}, found "
            f"model_type {kind!r} with language model {language!r}. Use one of the flan-t5 variants; for another "
            "image-text model set kind: vlm."
        )


def is_t5_encoder(config: Mapping[str, object]) -> bool:
    """Whether a config.json is that of a BLIP-2 or InstructBLIP with a T5."""
    kind, language = _model_types(config)
    return kind in KINDS and language == "t5"


def _model_types(config: Mapping[str, object]) -> tuple[object, object]:
    """Of the model, and of its language model."""
    text = config.get("text_config")
    return config.get("model_type"), text.get("model_type") if isinstance(text, dict) else None


def weight_map(folder: ModelFolder) -> dict[str, str]:
    """The file that holds each tensor of weights in several files, by the tensor's name in them.

    Raises:
        EncoderError: the folder's index does not say.
    """
    content = folder.read_json(INDEX).get("weight_map")
    files = content if isinstance(content, dict) else {}
    if not files or not all(isinstance(file, str) and "/" not in file for file in files.values()):
        raise EncoderError(
            f"{folder.user}: {folder.path / INDEX} does not list the files of the weights. Download the folder again."
        )
    return files


def _tensors(folder: ModelFolder, unread: Sequence[str]) -> dict[str, str]:
    """The weights file of each tensor that is needed: several gigabytes of a checkpoint may be the decoder's alone."""
    files, pattern = weight_map(folder), re.compile("|".join(unread))
    needed = {name: file for name, file in files.items() if not pattern.search(name)}
    if not TOKEN_TABLES & needed.keys() and DECODER_TABLE in files:
        needed[DECODER_TABLE] = files[DECODER_TABLE]
    return needed


def _weights(folder: ModelFolder, names: list[str]) -> tuple[Path, ...]:
    missing = [name for name in names if name not in folder.names()]
    if missing:
        raise folder.missing(missing[0], NO_PICKLES)
    return folder.get_all(names)
