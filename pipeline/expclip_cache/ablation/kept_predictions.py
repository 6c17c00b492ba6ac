"""Finished cells on disk: the predictions of each, in a file that is named by everything that determines them.

So a run that is killed goes on where it was, another one computes only what is new, and what was made from other
features, heads, prompts or code is not used.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xxhash

from expclip_cache.base import make_folder, write_atomically
from expclip_cache.cache import Json, canonical_json, json_sha256

PredictedClasses = Mapping[str, np.ndarray]
"""Test set -> (n,) int16 predicted class of every row, -1 for a row without features."""


class KeptPredictions:
    """A folder of finished cells."""

    def __init__(self, folder: Path):
        self._folder = folder

    def read(self, made_from: Json) -> PredictedClasses | None:
        """The predictions of a cell; None if there are none, or the file is damaged: then they are made again."""
        from safetensors import SafetensorError, safe_open

        key = json_sha256(made_from)
        try:
            with safe_open(self._path(key), framework="numpy") as file:
                about = json.loads(file.metadata()["about"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            intact = about == {"made_from": key, "xxh3_128": _checksum(found)}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        return found if intact else None

    def write(self, made_from: Json, predicted: PredictedClasses) -> None:
        """Keep the predictions of a cell, atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        from safetensors.numpy import save

        tensors = {name: np.ascontiguousarray(classes, dtype=np.int16) for name, classes in predicted.items()}
        about = {"made_from": json_sha256(made_from), "xxh3_128": _checksum(tensors)}
        make_folder(self._folder)
        write_atomically(self._path(json_sha256(made_from)), save(tensors, metadata={"about": json.dumps(about)}))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:32]}.safetensors"


def _checksum(tensors: PredictedClasses) -> str:
    digest = xxhash.xxh3_128()
    for name in sorted(tensors):
        digest.update(canonical_json([name, tensors[name].dtype.str, tensors[name].shape]))
        digest.update(np.ascontiguousarray(tensors[name]).view(np.uint8).data)
    return digest.hexdigest()
