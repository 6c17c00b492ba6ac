"""A frozen image-text model of transformers: as much of it as is needed, in the types that it needs.

    image -> vision tower -> projector -> image positions -┐
    text -> token embeddings ----------> text positions ---┴-> language model, layers 1 to N -> norm -> output head

For hidden states the output head and the layers above the highest that is read are neither loaded nor run. For answers
the whole model is needed. The classes are transformers' own, with the names of the complete model's parameters, so that
complete weights load into them. No Python file of a model's folder is run.
"""

import re
from collections.abc import Mapping
from importlib import util
from typing import Any, cast

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from expclip_cache.base import EncoderError
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.llm_settings import LlmModelSettings
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.transformers_loading import (
    COUNTERS,
    explained,
    quiet,
    read_model_config,
    refuse_differences,
)
from expclip_cache.encoders.vlm_files import VlmFiles
from expclip_cache.encoders.vlm_parts import cut_class, depth, language_model, outside_modules, outside_parameters

HEAD = r"(^|\.)lm_head\."
"""Tensors of the output head."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def read_vlm_config(files: VlmFiles) -> PretrainedConfig:
    """The config of an image-text model that reads image and text as one sequence of tokens.

    Raises:
        EncoderError: transformers cannot read it, or it is of another kind of model.
    """
    config = read_model_config("teacher", files.folder)
    encoder_decoder = config.is_encoder_decoder or config.get_text_config().is_encoder_decoder
    if encoder_decoder or not isinstance(getattr(config, "image_token_id", None), int):
        raise EncoderError(
            f"teacher: {files.folder} has model_type {config.model_type!r}; expected a language model that reads image "
            "and text as one sequence of tokens. Choose another model."
        )
    return config


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
        head: whether the output head is built. Without it only the model's `base_model` can be run.

    Raises:
        EncoderError: it cannot be built, tensors are missing, left over or of another shape, or accelerate is not
            installed.
    """
    spread = settings.device_map == "auto" and bool(files.weights)
    if spread and util.find_spec("accelerate") is None:
        raise EncoderError(
            "teacher: device_map: auto needs the package accelerate: pip install 'expclip-cache[vlm]'. Or set "
            "device_map: none, if the model fits on one device."
        )
    how: dict[str, Any] = {"dtype": DTYPES[settings.precision], "attn_implementation": settings.attention}
    with quiet(), explained("teacher", files.folder):
        model_class = cut_class(config, layers, head=head)
        if files.weights:
            model = _read(model_class, config, files, {**how, "device_map": "auto"} if spread else how)
        else:
            model = _random(model_class, config, how)
    model.eval().requires_grad_(False)
    if settings.precision != "fp32":
        _join_in_float32(model, DTYPES[settings.precision])
    if not spread:
        cast(nn.Module, model).to(device)  # the library's own `to` has no usable types
        if settings.precision == "fp32" and can_pack(device):
            pack_linears(model.base_model)
    if device.type == "cpu":
        keep_freed_memory()
    return model


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
    refuse_differences(
        "teacher", files.folder, files.weights[0], report, "|".join((HEAD, COUNTERS, *_upper_layers(model)))
    )
    return model


def _upper_layers(model: PreTrainedModel) -> tuple[str, ...]:
    """A pattern of the tensors of the layers that the model was cut from; none if it has all."""
    language = language_model(model)
    above = range(len(language.layers), depth(model.config))
    name = next(name for name, module in model.base_model.named_modules() if module is language.module)
    return (rf"(^|\.){re.escape(name)}\.layers\.({'|'.join(map(str, above))})\.",) if above else ()


def _random(model_class: type[PreTrainedModel], config: PretrainedConfig, how: Mapping[str, Any]) -> PreTrainedModel:
    """Random weights; the global generator is left as it was.

    Gemma 3's projector starts from zero, so that every image would give the same states: it is drawn too.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        model = model_class._from_config(config, **how)
        for module in outside_modules(model).values():
            module.float()
        for parameter in outside_parameters(model).values():
            parameter.data = parameter.data.float()
        for name, values in model.named_parameters():
            if values.ndim == 2 and "projector" in name and not values.any():
                values.normal_(0.0, len(values) ** -0.5)
    return model


def _join_in_float32(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Put the image into the text in float32, and round both where they enter the language model.

    Not every class of the library converts a projector's output to the type of the text's embeddings.
    """

    def as_float32(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return output.float()

    def rounded(_module: nn.Module, inputs: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return inputs, {**named, "inputs_embeds": named["inputs_embeds"].to(dtype)}

    cast(nn.Module, model.get_input_embeddings()).register_forward_hook(as_float32)
    language_model(model).module.register_forward_pre_hook(rounded, with_kwargs=True)
