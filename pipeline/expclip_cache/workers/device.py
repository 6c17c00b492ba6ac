"""Which device the frozen encoders run on: asked for, checked, and said."""

from typing import Literal

import torch

from expclip_cache.base import EncoderError


def resolve_device(asked: str) -> torch.device:
    """Turn the setting `run.device` into a device that exists.

    Args:
        asked: `auto` (the first CUDA device if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        EncoderError: the CUDA device asked for does not exist here. The CPU never replaces it in silence.
    """
    if asked == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise EncoderError(f"run.device: expected auto, cpu, cuda or cuda:<number>, found {asked!r}.")
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = device.index or 0
    if number < count:
        return torch.device("cuda", number)
    if count:
        found, advice = f"{count} CUDA device(s)", f"Name one of cuda:0 to cuda:{count - 1}."
    else:
        found = "no CUDA device"
        advice = "Check the driver (nvidia-smi) and that torch is a CUDA build, or set run.device: cpu."
    raise EncoderError(f"run.device: {asked!r} was asked for, and torch {torch.__version__} sees {found}. {advice}")


def resolve_devices(asked: str, processes: int | Literal["auto"] = "auto") -> list[str]:
    """The device of each process that is to encode on this machine.

    Args:
        asked: as for `resolve_device`; `auto` takes every CUDA device there is.
        processes: how many; if there are fewer devices, some share one. `auto`: one for each device.

    Raises:
        EncoderError: see `resolve_device`.
    """
    device = resolve_device(asked)
    count = torch.cuda.device_count() if asked == "auto" and device.type == "cuda" else 1
    devices = [f"cuda:{number}" for number in range(count)] if count > 1 else [str(device)]
    return [devices[k % len(devices)] for k in range(len(devices) if processes == "auto" else processes)]


def device_name(device: torch.device) -> str:
    """A short name for people: `cpu (2 threads)` or `cuda:0 NVIDIA H200`."""
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'' if threads == 1 else 's'})"
    return f"{device} {torch.cuda.get_device_name(device)}"
