"""Heads on disk: safetensors with the reference's one key, and the settings that the head was fitted with."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xxhash

from expclip_cache.base import DataError, make_folder, write_atomically
from expclip_cache.cache import Json

KEY = "mlp.weight"
PARALLEL = "module."
"""What torch's DataParallel puts before every name."""

CHECKSUM = "xxh3_128"
"""Key of the checksum over the matrix and everything else that the file records."""


def write_head(path: Path, weights: np.ndarray, settings: Mapping[str, Json]) -> None:
    """Write W (t, d) as float32, with its settings and a checksum as metadata.

    The same head and settings give the same bytes.
    """
    from safetensors.numpy import save

    matrix = np.ascontiguousarray(weights, dtype=np.float32)
    # One metadata entry: safetensors does not keep the order of several.
    metadata = {"settings": json.dumps({**settings, CHECKSUM: _checksum(matrix, settings)}, sort_keys=True)}
    make_folder(path.parent)
    write_atomically(path, save({KEY: matrix}, metadata=metadata))


def read_head(path: str | Path) -> np.ndarray:
    """W (t, d) float32.

    Raises:
        DataError: the file is missing, is not a safetensors file, does not hold exactly one matrix `mlp.weight` of
            finite float16, float32 or float64 numbers, or the content does not match the checksum that the file
            records.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such head. Train it first (dvc repro).")
    if not path.is_file():
        raise DataError(f"{path}: is not a file.")
    try:
        tensors = load_file(path)
    except (KeyError, TypeError, AttributeError) as error:
        # NumPy alone has neither bfloat16 nor the 8-bit types.
        raise _other_type(path, error) from None
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: is not a safetensors file ({error}). Torch checkpoints: `expclip-cache import-head`."
        ) from None
    tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
    if set(tensors) != {KEY} or tensors[KEY].ndim != 2:
        found = ", ".join(f"{name} {tensor.shape}" for name, tensor in tensors.items())
        raise DataError(f"{path}: expected one matrix {KEY!r} (t, d), found {found}.")
    if tensors[KEY].dtype not in (np.float16, np.float32, np.float64):
        raise _other_type(path, tensors[KEY].dtype)
    record = _metadata(path)
    recorded = record.pop(CHECKSUM, None)
    if recorded is not None and recorded != _checksum(tensors[KEY], record):
        raise DataError(f"{path}: does not match its own checksum; the file is damaged. Fit the head again.")
    weights = tensors[KEY].astype(np.float32)
    refuse_infinite(path, weights)
    return weights


def _other_type(path: Path, found: object) -> DataError:
    return DataError(f"{path}: has numbers of a type that heads do not have ({found}). Convert it to float32 first.")


def refuse_infinite(path: Path, weights: np.ndarray) -> None:
    """A head must be finite, whatever kind of file it comes from.

    Raises:
        DataError: it is not.
    """
    if not np.isfinite(weights).all():
        raise DataError(f"{path}: {KEY!r} has values that are not finite. Its training diverged; use another one.")


def read_record(path: Path) -> dict[str, Json]:
    """What a head's file records about its fit, see `write_head`; empty if it records nothing.

    Raises:
        DataError: the file is missing or is not a safetensors file.
    """
    record = _metadata(path)
    record.pop(CHECKSUM, None)
    return record


def _metadata(path: Path) -> dict[str, Json]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            record = json.loads((file.metadata() or {}).get("settings", "{}"))
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: is not a safetensors file ({error}). Fit the head again.") from None
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _checksum(matrix: np.ndarray, settings: Mapping[str, Json]) -> str:
    about = [matrix.dtype.str, matrix.shape, dict(settings)]
    digest = xxhash.xxh3_128(json.dumps(about, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(matrix).data)
    return digest.hexdigest()
