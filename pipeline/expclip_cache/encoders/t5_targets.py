"""BLIP-2 and InstructBLIP: without their decoder for targets, whole for answers.

Without it they are vision model, Q-Former, projection and T5 encoder. The classes keep the parameter names of the whole
models, so that their checkpoints load into them; the decoder's tensors are left unread.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2PreTrainedModel,
    Blip2QFormerConfig,
    Blip2QFormerModel,
    Blip2VisionConfig,
    Blip2VisionModel,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipPreTrainedModel,
    InstructBlipQFormerConfig,
    InstructBlipQFormerModel,
    InstructBlipVisionConfig,
    InstructBlipVisionModel,
    T5Config,
    T5EncoderModel,
)

from expclip_cache.base import EncoderError
from expclip_cache.encoders.llm_files import COUNTERS, DECODER_TABLE, INDEX, TOKEN_TABLES, UNREAD, LlmFiles
from expclip_cache.encoders.model_folder import one_line
from expclip_cache.encoders.transformers_loading import quiet, read_model_config

FULL_PRECISION = ["vision_model", "query_tokens", "qformer", "language_projection"]
"""Everything except T5: read as float32 when T5 is read as bfloat16."""

DECODER = ("language_model.decoder.", "language_model.lm_head.")
"""How the names of the decoder's tensors begin."""

EMBEDDING_STD = 0.02
"""Standard deviation of random query tokens, class and position embeddings, as in the pre-training of both models."""


class ModelConfig(Protocol):
    """A `Blip2Config` or `InstructBlipConfig` with a T5; the library types its three parts as anything or None."""

    model_type: str
    num_query_tokens: int
    vision_config: Blip2VisionConfig | InstructBlipVisionConfig
    qformer_config: Blip2QFormerConfig | InstructBlipQFormerConfig
    text_config: T5Config


class Blip2Targets(Blip2PreTrainedModel):
    """BLIP-2 up to the T5 encoder."""

    _keep_in_fp32_modules_strict = FULL_PRECISION
    _keys_to_ignore_on_load_unexpected = UNREAD

    def __init__(self, config: Blip2Config):
        super().__init__(config)
        parts = typed_config(config)
        self.vision_model = Blip2VisionModel._from_config(parts.vision_config)
        self.query_tokens = _query_tokens(parts)
        self.qformer = Blip2QFormerModel._from_config(parts.qformer_config)
        self.language_projection = nn.Linear(parts.qformer_config.hidden_size, parts.text_config.d_model)
        self.language_model = T5EncoderModel._from_config(parts.text_config)
        self.post_init()


class InstructBlipTargets(InstructBlipPreTrainedModel):
    """InstructBLIP up to the T5 encoder; its Q-Former reads the instruction too."""

    _keep_in_fp32_modules_strict = FULL_PRECISION
    _keys_to_ignore_on_load_unexpected = UNREAD

    def __init__(self, config: InstructBlipConfig):
        super().__init__(config)
        parts = typed_config(config)
        self.vision_model = InstructBlipVisionModel._from_config(parts.vision_config)
        self.query_tokens = _query_tokens(parts)
        self.qformer = InstructBlipQFormerModel._from_config(parts.qformer_config)
        self.language_projection = nn.Linear(parts.qformer_config.hidden_size, parts.text_config.d_model)
        self.language_model = T5EncoderModel._from_config(parts.text_config)
        self.post_init()


class Blip2Answers(Blip2ForConditionalGeneration):
    """The whole BLIP-2."""

    _keep_in_fp32_modules_strict = FULL_PRECISION
    _keys_to_ignore_on_load_unexpected = COUNTERS


class InstructBlipAnswers(InstructBlipForConditionalGeneration):
    """The whole InstructBLIP."""

    _keep_in_fp32_modules_strict = FULL_PRECISION
    _keys_to_ignore_on_load_unexpected = COUNTERS


TargetModel = Blip2Targets | InstructBlipTargets
AnswerModel = Blip2Answers | InstructBlipAnswers

Model = TypeVar("Model", bound=TargetModel | AnswerModel)


def load_targets(files: LlmFiles, precision: str) -> TargetModel:
    """The frozen model without its decoder, see `_load`."""
    return _load(files, precision, Blip2Targets, InstructBlipTargets)


def load_answering(files: LlmFiles, precision: str) -> AnswerModel:
    """The whole frozen model, see `_load`; the files must be all of them."""
    return _load(files, precision, Blip2Answers, InstructBlipAnswers)


def _load(files: LlmFiles, precision: str, blip2: type[Model], instruct_blip: type[Model]) -> Model:
    """The frozen model on the CPU, with the weights in `files`, or random ones if there are none.

    Args:
        files: from `find_llm_files`.
        precision: `fp32`, or `reference` for LAVIS's types: T5 in bfloat16, Q-Former and projection in float32, the
            vision model's linear layers in float16 and the rest of it in float32 (it then runs under autocast).

    Raises:
        EncoderError: it is not a BLIP-2 or InstructBLIP with a T5, or tensors are missing, left over or of another
            shape.
    """
    config = read_model_config("teacher", files.folder)
    assert isinstance(config, Blip2Config | InstructBlipConfig)  # `find_llm_files` checks it
    model_class = blip2 if isinstance(config, Blip2Config) else instruct_blip
    model = _read_model(model_class, config, files, precision) if files.weights else _random_model(model_class, config)
    if precision == "reference":
        # Cast, because the library's own `to` has no usable types.
        cast(nn.Module, model.language_model).to(torch.bfloat16)
        for module in model.vision_model.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.float16)
    model.eval()
    model.requires_grad_(False)
    return model


def typed_config(config: Blip2Config | InstructBlipConfig) -> ModelConfig:
    """The same config with its parts' types, which `load_targets` has checked."""
    return cast(ModelConfig, config)


def _query_tokens(parts: ModelConfig) -> nn.Parameter:
    return nn.Parameter(torch.zeros(1, parts.num_query_tokens, parts.qformer_config.hidden_size))


def _read_model(
    model_class: type[Model], config: Blip2Config | InstructBlipConfig, files: LlmFiles, precision: str
) -> Model:
    """Load safetensors, and require every tensor of the model and no others."""
    try:
        with quiet(), _needed_weights(files) as folder:
            loaded = model_class.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32 if precision == "fp32" else torch.bfloat16,
                use_safetensors=True,
                local_files_only=True,
                key_mapping=_token_table_mapping(files),
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EncoderError(f"teacher: the weights in {files.folder} cannot be loaded: {one_line(error)}.") from error
    # With `output_loading_info` the library returns a pair, which its types do not say.
    model, report = cast(tuple[Model, dict[str, set[str]]], loaded)
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(str(key) for key in report[problem])
        if names and all(name.startswith(DECODER) for name in names):
            raise EncoderError(
                f"answers: the weights in {files.folder} have no decoder, as is usual for a teacher's. An LLM that "
                "answers needs the whole checkpoint."
            )
        if names:
            raise EncoderError(
                f"teacher: the weights in {files.folder} do not fit its config.json: {len(names)} "
                f"{problem.replace('_', ' ')}, {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}. Download the "
                "folder again."
            )
    return model


@contextmanager
def _needed_weights(files: LlmFiles) -> Iterator[Path]:
    """A folder with links to the needed weights files, and an index of the needed tensors alone.

    The library opens every file of an index, and those with nothing but the decoder are not on this machine.
    """
    if files.tensors is None:
        yield files.folder
        return
    with tempfile.TemporaryDirectory(prefix="expclip-") as name:
        folder = Path(name)
        for file in files.weights:
            (folder / file.name).symlink_to(file.resolve())
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": dict(files.tensors)}), encoding="utf-8")
        yield folder


def _token_table_mapping(files: LlmFiles) -> dict[str, str] | None:
    """Encoder and decoder share T5's token table; a file that stores it once may store it under the decoder's name."""
    stored: set[str] = set()
    for file in files.weights:
        with safe_open(file, framework="pt") as tensors:
            stored.update(tensors.keys())
    if stored & TOKEN_TABLES:
        return None
    return {rf"^{re.escape(DECODER_TABLE.removesuffix('weight'))}": "language_model.shared."}


def _random_model(model_class: type[Model], config: Blip2Config | InstructBlipConfig) -> Model:
    """Random weights of seed 0; the global generator is left as it was.

    A model built from scratch by the library has vision weights of 1e-10 and query tokens of zero, so that every image
    gets the same states. Both are drawn again here; linear layers and the patch embedding with variance 1 / fan-in.
    """
    parts = typed_config(config)
    for section in (config, parts.vision_config, parts.qformer_config, parts.text_config):
        section.dtype = torch.float32  # otherwise each part takes the type that its published weights are stored in
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        model = model_class(config)  # pyright: ignore[reportArgumentType]  the class is that of the config
        model.query_tokens.normal_(0.0, EMBEDDING_STD)
        embeddings = model.vision_model.embeddings
        embeddings.class_embedding.normal_(0.0, EMBEDDING_STD)
        embeddings.position_embedding.normal_(0.0, EMBEDDING_STD)
        for module in model.vision_model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.normal_(0.0, module.weight[0].numel() ** -0.5)
    return model
