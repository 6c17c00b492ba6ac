"""A frozen image-text model of transformers: as much of it as is needed, in the types that it needs.

    image -> vision tower -> projector -> image positions -┐
    text -> token embeddings ----------> text positions ---┴-> language model, layers 1 to N -> final norm -> output head

For hidden states the output head and the layers above the highest that is read are neither loaded nor run. For answers
the whole model is needed. The classes are transformers' own, with the names of the complete model's parameters, so that
complete weights load into them. No Python file of a model's folder is run.
"""

import re
from collections.abc import Callable, Mapping
from importlib import util
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_MAPPING,
    PretrainedConfig,
    PreTrainedModel,
)

from expclip_cache.base import EncoderError
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.llm_settings import LlmModelSettings
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.transformers_loading import COUNTERS, explained, quiet, read_model_config, refuse_differences
from expclip_cache.encoders.vlm_files import VlmFiles

HEAD = r"(^|\.)lm_head\."
"""Tensors of the output head."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def read_vlm_config(files: VlmFiles) -> PretrainedConfig:
    """The config of an image-text model whose language model has a stack of decoder layers.

    Raises:
        EncoderError: transformers cannot read it, or it is of another kind of model.
    """
    config = read_model_config("teacher", files.folder)
    text = config.get_text_config()
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or type(config) not in MODEL_MAPPING:
        raise EncoderError(
            f"teacher: {files.folder} has model_type {config.model_type!r}, which is no image-text model of this "
            "version of transformers (AutoModelForImageTextToText). Install a newer one, or choose another model."
        )
    if config.is_encoder_decoder or text.is_encoder_decoder or not isinstance(_image_token(config), int):
        raise EncoderError(
            f"teacher: {files.folder} has model_type {config.model_type!r}; expected a language model that reads image "
            "and text as one sequence of tokens, not one with an encoder and a decoder. Choose another model."
        )
    return config


def depth(config: PretrainedConfig) -> int:
    """N, the number of layers of the language model."""
    return config.get_text_config().num_hidden_layers


def image_token(config: PretrainedConfig) -> int:
    """The token id whose positions hold the image."""
    return cast(int, _image_token(config))


def build_vlm(
    config: PretrainedConfig,
    files: VlmFiles,
    settings: LlmModelSettings,
    device: torch.device,
    *,
    layers: int | None = None,
    head: bool = False,
) -> PreTrainedModel:
    """The frozen model on its device, with the weights in `files`, or random ones (seed 0) if there are none.

    With precision bf16 the language model is in bfloat16, and the vision tower and the projector stay in float32. With
    device_map auto, accelerate spreads the layers over all GPUs, and over the main memory if they are full.

    Args:
        config: from `read_vlm_config`.
        layers: of the language model that are built, counted from the input; all by default.
        head: whether the output head is built: the model then gives logits, and otherwise hidden states.

    Raises:
        EncoderError: it cannot be built, tensors are missing, left over or of another shape, or accelerate is not
            installed.
    """
    model_class = _class(config, layers, head=head)
    spread = settings.device_map == "auto" and bool(files.weights)
    if spread and util.find_spec("accelerate") is None:
        raise EncoderError(
            "teacher: device_map: auto needs the package accelerate: pip install 'expclip-cache[big-models]'. Or set "
            "device_map: none, if the model fits on one device."
        )
    dtype = DTYPES[settings.precision]
    how: dict[str, Any] = {"dtype": dtype, "attn_implementation": settings.attention}
    with quiet(), explained("teacher", files.folder):
        if files.weights:
            model = _read(model_class, config, files, {**how, "device_map": "auto"} if spread else how)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                model = model_class._from_config(config, **how)
                for part in _outside(model).values():
                    part.data = part.data.float() if isinstance(part, nn.Parameter) else part.float()
    model.eval().requires_grad_(False)
    for part in _outside(model).values():
        if isinstance(part, nn.Module) and dtype != torch.float32:
            part.register_forward_hook(_rounded(dtype))
    if not spread:
        cast(nn.Module, model).to(device)  # the library's own `to` has no usable types
        if settings.precision == "fp32" and can_pack(device):
            pack_linears(model.base_model)
    if device.type == "cpu":
        keep_freed_memory()
    return model


def language_model(model: PreTrainedModel) -> nn.Module:
    """The stack of decoder layers (`layers`) with its token embeddings and its final norm, which ends its output.

    Raises:
        EncoderError: its class has none.
    """
    found = model.get_decoder()
    if found is model or not isinstance(getattr(found, "layers", None), nn.ModuleList):
        raise EncoderError(
            f"teacher: {type(model).__name__} of transformers has no language model with a list of layers. Choose "
            "another model."
        )
    return found


def _rounded(dtype: torch.dtype) -> Callable[[nn.Module, object, object], torch.Tensor | None]:
    """A hook that gives a projector's output the language model's type, which some classes leave to the caller."""

    def hook(_module: nn.Module, _inputs: object, output: object) -> torch.Tensor | None:
        return output.to(dtype) if isinstance(output, torch.Tensor) else None

    return hook


def _image_token(config: PretrainedConfig) -> object:
    return getattr(config, "image_token_id", None)


def _class(config: PretrainedConfig, layers: int | None, *, head: bool) -> type[PreTrainedModel]:
    """Transformers' class for the config, whose models are cut when they are built, before weights are read.

    It keeps the name and the module of transformers' class: the library looks up by them how to read old weights.
    """
    base = (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING if head else MODEL_MAPPING)[type(config)]

    def init(self: PreTrainedModel, config: PretrainedConfig) -> None:
        base.__init__(self, config)
        language = language_model(self)
        language.layers = language.layers[:layers]
        self._keep_in_fp32_modules_strict = {*(self._keep_in_fp32_modules_strict or ()), *_outside(self)}

    return type(base.__name__, (base,), {"__init__": init, "__module__": base.__module__})


def _read(
    model_class: type[PreTrainedModel], config: PretrainedConfig, files: VlmFiles, how: Mapping[str, Any]
) -> PreTrainedModel:
    loaded = model_class.from_pretrained(
        files.folder,
        config=config,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # they are refused by `refuse_differences`, which names them
        output_loading_info=True,
        **how,
    )
    # With `output_loading_info` the library returns a pair, which its types do not say.
    model, report = cast(tuple[PreTrainedModel, dict[str, Any]], loaded)
    unread = "|".join((HEAD, COUNTERS, *_layers_above(model)))
    refuse_differences("teacher", files.folder, files.weights[0], report, unread)
    return model


def _layers_above(model: PreTrainedModel) -> tuple[str, ...]:
    """Patterns of the tensors of the layers that the model was cut from."""
    language = language_model(model)
    built, name = len(cast(nn.ModuleList, language.layers)), _name(model, language).rpartition(".")[2]
    above = range(built, depth(model.config))
    # Weights of old versions of transformers have the layers in `language_model.model.layers`, or in `model.layers`.
    return (rf"(^|\.)({re.escape(name)}|model)\.(model\.)?layers\.({'|'.join(map(str, above))})\.",) if above else ()


def _name(model: nn.Module, part: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is part)


def _outside(model: PreTrainedModel) -> dict[str, nn.Module | nn.Parameter]:
    """The vision tower, the projector and what else is beside the language model, by name."""
    language, base = language_model(model), model.base_model
    parts = {name: part for name, part in base.named_children() if part is not language}
    return {**parts, **dict(base.named_parameters(recurse=False))}
