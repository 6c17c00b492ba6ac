"""Heads in the reference's format: a torch file with one tensor, `mlp.weight`."""

import io
import pickle
import re
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, make_folder, write_atomically
from expclip_cache.heads.head_file import KEY, PARALLEL, refuse_infinite

MAX_VALUES = 1 << 28
"""Largest matrix that is read: 16,384 x 16,384, several times the largest encoders."""

STARTS = (b"PK", b"\x80")
"""How files of torch.save begin: a ZIP archive, and before torch 1.6 a pickle."""


def read_checkpoint(path: Path) -> np.ndarray:
    """W (t, d) float32 of a checkpoint. Nothing in the file is executed.

    Raises:
        DataError: the file is missing, damaged, holds anything but tensors, or has no finite matrix `mlp.weight`.
    """
    import torch

    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is not a file.")
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if not start.startswith(STARTS):
            raise DataError(
                f"{path}: expected a torch checkpoint with {KEY!r}, found a file of another kind (it begins with "
                f"{start!r})."
            )
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path}: the checkpoint cannot be read ({error.strerror or error}).") from None
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: holds more than tensors{_named_code(error)}, and loading it could run a program; refused, "
            f"nothing was executed. Expected a state dict with {KEY!r}, saved with torch.save."
        ) from None
    except (RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: is not a torch checkpoint ({_reason(error)}). If the download was cut off, repeat it."
        ) from None
    found = (state.get(KEY), state.get(PARALLEL + KEY)) if isinstance(state, dict) else (None,)
    found = next((tensor for tensor in found if tensor is not None), None)
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or found.layout != torch.strided:
        raise DataError(f"{path}: expected one matrix {KEY!r} (t, d), found {_content(state)}.")
    # A tensor may be a view that repeats a few stored numbers; copied, it would have its full size.
    stored = found.untyped_storage().nbytes() // found.element_size()
    if found.numel() > min(stored, MAX_VALUES):
        raise DataError(
            f"{path}: {KEY!r} is {found.shape[0]} x {found.shape[1]}, of which the file has {stored} numbers; expected "
            f"all of them, and at most {MAX_VALUES:,}."
        )
    weights = found.detach().to(torch.float32).numpy()
    refuse_infinite(path, weights)
    return weights


def write_checkpoint(path: Path, weights: np.ndarray) -> None:
    """Write W (t, d) as the reference's state dict, which the reference's code loads."""
    import torch

    buffer = io.BytesIO()
    torch.save({KEY: torch.from_numpy(np.array(weights, dtype=np.float32))}, buffer)
    make_folder(path.parent)
    write_atomically(path, buffer.getvalue())


def _named_code(error: pickle.UnpicklingError) -> str:
    """What a file asks to be run, from torch's message; the rest of it advises loading the file unsafely."""
    named = re.search(r"(?:GLOBAL|global:?) ([\w.]+\.\w+)", str(error))
    return f" ({named[1]})" if named else ""


def _reason(error: Exception) -> str:
    """The first line of torch's message, without its request for a better one; the others advise unsafe loading."""
    line = str(error).strip().split("\n")[0].partition("(Could this error message")[0]
    return line.strip().rstrip(".")[:200] or type(error).__name__


def _content(state: object) -> str:
    if not isinstance(state, dict):
        return f"a {type(state).__name__}"
    names = [f"{name} {tuple(getattr(value, 'shape', ()))}" for name, value in list(state.items())[:5]]
    return f"{', '.join(names) or 'nothing'}{' and more' * (len(state) > 5)}"
