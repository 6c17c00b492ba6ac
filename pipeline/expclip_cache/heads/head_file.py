"""Heads on disk: safetensors with the reference's one key, and the settings they came from."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, write_atomically

KEY = "mlp.weight"


def write_head(path: Path, weights: np.ndarray, settings: Mapping) -> None:
    """Write W (t, d) float32 with its settings as metadata; the same head gives the same bytes."""
    from safetensors.numpy import save

    # One metadata entry: safetensors does not keep the order of several.
    metadata = {"settings": json.dumps(settings, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save({KEY: np.ascontiguousarray(weights, dtype=np.float32)}, metadata=metadata))


def read_head(path: Path) -> np.ndarray:
    """W (t, d) float32.

    Raises:
        DataError: the file is missing, no safetensors file, or holds no matrix `mlp.weight`.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such head. Train it first (dvc repro).") from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: is no safetensors file ({error}). Torch checkpoints: `expclip-cache import-head`."
        ) from None
    if set(tensors) != {KEY} or tensors[KEY].ndim != 2:
        found = ", ".join(f"{name} {tensor.shape}" for name, tensor in tensors.items())
        raise DataError(f"{path}: expected one matrix {KEY!r} (t, d), found {found}.")
    return tensors[KEY].astype(np.float32)
