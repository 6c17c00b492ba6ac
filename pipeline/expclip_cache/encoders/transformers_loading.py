"""What loading any model of transformers from a folder has in common."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, PretrainedConfig
from transformers.utils import logging

from expclip_cache.base import EncoderError
from expclip_cache.encoders.model_folder import one_line
from expclip_cache.encoders.torch_file import named_differences

COUNTERS = r"\.position_ids$"
"""0, 1, 2, ..., which old versions of transformers stored among the weights."""

ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, ImportError),
    *(SafetensorError, StrictDataclassError),
)
"""What transformers raises for a config.json or weights that it cannot use."""


def read_model_config(user: str, folder: Path) -> PretrainedConfig:
    """The config of the model in a folder, of its own class.

    Args:
        user: what messages call the encoder: backbone or teacher.

    Raises:
        EncoderError: transformers cannot read it.
    """
    with quiet(), explained(user, folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config.transformers_weights = None  # a config may name other files of weights than those that are hashed
    return config


def refuse_differences(user: str, folder: Path, weights: Path, report: Mapping[str, Any], unread: str) -> None:
    """Make sure that the weights have the model's tensors and no others.

    Args:
        user: what messages call the encoder.
        weights: their first file.
        report: what `from_pretrained` gives with `output_loading_info`.
        unread: pattern of tensors that the weights may have and the model does without.

    Raises:
        EncoderError: they have not; the message names the first that differ.
    """
    differences = named_differences(
        missing=sorted(report["missing_keys"]),
        unknown=sorted(name for name in report["unexpected_keys"] if not re.search(unread, name)),
        of_another_shape=sorted(
            f"{name} {tuple(found)} instead of {tuple(expected)}" for name, found, expected in report["mismatched_keys"]
        ),
    )
    if differences:
        raise EncoderError(
            f"{user}: {weights} has other tensors than the model that {folder / 'config.json'} describes.{differences}"
        )


@contextmanager
def explained(user: str, folder: Path) -> Iterator[None]:
    """Turn what transformers raises while it builds a model into an EncoderError."""
    try:
        yield
    except ERRORS as error:
        raise EncoderError(
            f"{user}: the model that {folder / 'config.json'} describes cannot be built: {one_line(error)}."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
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
