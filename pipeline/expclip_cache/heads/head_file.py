"""Heads on disk: safetensors with the reference's one key, and the settings that the head was fitted with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, write_atomically
from expclip_cache.cache import FeatureCache, Json

KEY = "mlp.weight"


def fingerprints_of(images: FeatureCache, targets: FeatureCache | Sequence[FeatureCache]) -> dict[str, Json]:
    """The fingerprints of the caches that a head was fitted on, as head files record them."""
    if isinstance(targets, FeatureCache):
        found: Json = targets.identity.fingerprint
    else:
        found = [cache.identity.fingerprint for cache in targets]
    return {"images": images.identity.fingerprint, "targets": found}


def write_head(path: Path, weights: np.ndarray, settings: Mapping[str, Json]) -> None:
    """Write W (t, d) as float32, with its settings as metadata. The same head and settings give the same bytes."""
    from safetensors.numpy import save

    # One metadata entry: safetensors does not keep the order of several.
    metadata = {"settings": json.dumps(settings, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save({KEY: np.ascontiguousarray(weights, dtype=np.float32)}, metadata=metadata))


def read_head(path: Path) -> np.ndarray:
    """W (t, d) float32.

    Raises:
        DataError: the file is missing, is not a safetensors file, or does not hold exactly one matrix `mlp.weight`.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such head. Train it first (dvc repro).") from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: is not a safetensors file ({error}). Torch checkpoints: `expclip-cache import-head`."
        ) from None
    if set(tensors) != {KEY} or tensors[KEY].ndim != 2:
        found = ", ".join(f"{name} {tensor.shape}" for name, tensor in tensors.items())
        raise DataError(f"{path}: expected one matrix {KEY!r} (t, d), found {found}.")
    return tensors[KEY].astype(np.float32)
