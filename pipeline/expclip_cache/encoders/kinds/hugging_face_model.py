"""A model of transformers: built from its config with the weights of its files, or random ones, and frozen."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from expclip_cache.base import EncoderError
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.kinds.hugging_face import CONFIG, HuggingFaceFiles
from expclip_cache.encoders.model_folder import one_line
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.torch_file import named_differences, read_state_dict

Model = TypeVar("Model", bound=PreTrainedModel)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

COUNTERS = r"\.position_ids$"
"""0, 1, 2, ..., which old versions of transformers stored among the weights."""


ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, ImportError),
    *(SafetensorError, StrictDataclassError),
)
"""What transformers raises for a config.json or weights that it cannot use."""


def read_config(files: HuggingFaceFiles) -> PretrainedConfig:
    """The model's config, of its own class.

    Raises:
        EncoderError: transformers cannot read it.
    """
    with _quiet(), _explained(files):
        return AutoConfig.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False)


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
    with _quiet(), _explained(files):
        if not files.weights:
            return _random(model_class, config)
        loaded = _read(model_class, config, files, renamed)
    # With `output_loading_info` the library returns a pair, which its types do not say.
    model, report = cast(tuple[Model, dict[str, Any]], loaded)
    _refuse_differences(files, report, "|".join((COUNTERS, *unread)))
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
        ignore_mismatched_sizes=True,  # they are refused by `_refuse_differences`, which names them
        output_loading_info=True,
    )


def _refuse_differences(files: HuggingFaceFiles, report: Mapping[str, Any], unread: str) -> None:
    differences = named_differences(
        missing=sorted(report["missing_keys"]),
        unknown=sorted(name for name in report["unexpected_keys"] if not re.search(unread, name)),
        of_another_shape=sorted(
            f"{name} {tuple(found)} instead of {tuple(expected)}" for name, found, expected in report["mismatched_keys"]
        ),
    )
    if differences:
        raise EncoderError(
            f"backbone: {files.weights[0]} has other tensors than the model that {files.folder / CONFIG} describes."
            + differences
        )


@contextmanager
def _explained(files: HuggingFaceFiles) -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        raise EncoderError(
            f"backbone: the model that {files.folder / CONFIG} describes cannot be built: {one_line(error)}."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's bars and warnings; its report of differing tensors becomes an error here."""
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
