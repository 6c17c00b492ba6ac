"""A model of transformers: built from its config with the weights of its files, or random ones, and frozen."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.torch_file import read_state_dict
from expclip_cache.encoders.transformers_loading import (
    COUNTERS,
    explained,
    quiet,
    read_model_config,
    refuse_differences,
)

Model = TypeVar("Model", bound=PreTrainedModel)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def read_config(files: HuggingFaceFiles) -> PretrainedConfig:
    """The model's config, of its own class.

    Raises:
        EncoderError: transformers cannot read it.
    """
    return read_model_config("backbone", files.folder)


def build_model(
    model_class: type[Model],
    config: PretrainedConfig,
    files: HuggingFaceFiles,
    *,
    unread: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> Model:
    """The model in float32 on the CPU, with the weights in `files`, or random ones (seed 0) if there are none.

    Args:
        unread: patterns of tensors that a file may have and the model does without; they are not loaded.
        renamed: patterns of names in the file, and what the model calls them.

    Raises:
        EncoderError: it cannot be built, or tensors are missing, left over or of another shape; the message names them.
    """
    for section in (config, *(getattr(config, name) for name in config.sub_configs)):
        section.dtype = torch.float32  # otherwise a part takes the type that its weights are stored in
    with quiet(), explained("backbone", files.folder):
        if not files.weights:
            return _random(model_class, config)
        loaded = _read(model_class, config, files, renamed)
    # With `output_loading_info` the library returns a pair, which its types do not say.
    model, report = cast(tuple[Model, dict[str, Any]], loaded)
    refuse_differences("backbone", files.folder, files.weights[0], report, "|".join((COUNTERS, *unread)))
    return model


def freeze(model: nn.Module, precision: str, device: torch.device) -> None:
    """Evaluation mode, without gradients, in this precision, on its device; float32 on a CPU is packed."""
    model.to(device=device, dtype=DTYPES[precision]).eval().requires_grad_(False)
    if precision == "fp32" and can_pack(device):
        pack_linears(model)
    if device.type == "cpu":
        keep_freed_memory()


def _random(model_class: type[Model], config: PretrainedConfig) -> Model:
    """The global random generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return model_class(config)


def _read(
    model_class: type[Model], config: PretrainedConfig, files: HuggingFaceFiles, renamed: Mapping[str, str] | None
) -> object:
    return model_class.from_pretrained(
        None if files.one_file else files.folder,
        config=config,
        state_dict=read_state_dict(files.weights[0]) if files.one_file else None,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        key_mapping=None if renamed is None else dict(renamed),
        ignore_mismatched_sizes=True,  # they are refused by `refuse_differences`, which names them
        output_loading_info=True,
    )
