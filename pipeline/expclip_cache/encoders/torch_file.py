"""A file of weights as its makers publish it: safetensors, or what torch.save wrote, read without running anything."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from expclip_cache.base import EncoderError
from expclip_cache.encoders.model_folder import one_line

WRAPPERS = ("state_dict", "model")
"""Keys under which makers put the weights, beside an optimizer's state and more."""

PREFIX = "module."
"""What torch's wrappers for several GPUs put before every name."""


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a file, by name, on the CPU.

    Weights that stand under one of `WRAPPERS` are unwrapped, and `PREFIX` is removed. A pickle is read by torch's
    restricted reader, which makes tensors and plain values and runs nothing.

    Raises:
        EncoderError: the file cannot be read, would run code, or holds no tensors by name.
    """
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{path}: is no plain file of weights: torch's restricted reader refuses it ({one_line(error)}). Nothing "
            "of it was run. If you trust it, save its tensors as .safetensors."
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, BadZipFile, SafetensorError) as error:
        raise EncoderError(f"{path}: cannot be read as weights ({one_line(error)}). Download it again.") from None
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    tensors = {str(name): value for name, value in found.items()} if isinstance(found, Mapping) else {}
    tensors = {name: value for name, value in tensors.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise EncoderError(
            f"{path}: expected tensors by name, as torch.save(model.state_dict()) writes them; none found."
        )
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    return tensors


def refuse_other_names(
    user: str, path: Path, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    """Make sure that a file has the tensors of a model: these names, with these shapes, and no others.

    Args:
        user: what the message calls the encoder.
        expected: the model's own state dict.

    Raises:
        EncoderError: it has not; the message names the first tensors that differ.
    """
    differences = named_differences(
        missing=[name for name in expected if name not in found],
        unknown=[name for name in found if name not in expected],
        of_another_shape=[
            f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in expected
            if name in found and found[name].shape != expected[name].shape
        ],
    )
    if differences:
        raise EncoderError(f"{user}: {path} holds the weights of another model.{differences}")


def named_differences(*, missing: list[str], unknown: list[str], of_another_shape: list[str]) -> str:
    """How the tensors of a file differ from a model's: the end of a message, a line for each way; empty for none."""
    ways = {"missing": missing, "unknown": unknown, "of another shape": of_another_shape}
    return "".join(f"\n  {len(names)} {way}: {_first(names)}" for way, names in ways.items() if names)


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
