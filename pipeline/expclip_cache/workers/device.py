"""Choose and check the device to run on."""

from typing import Literal

import torch

from expclip_cache.base import EncoderError


def resolve_device(requested: str) -> torch.device:
    """Turn the setting `run.device` into an existing device.

    Args:
        requested: `auto` (the first CUDA device if there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        EncoderError: the requested CUDA device does not exist. There is no silent fallback to the CPU.
    """
    if requested == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise EncoderError(f"run.device: expected auto, cpu, cuda or cuda:<number>, found {requested!r}.")
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = device.index or 0
    if number < count:
        return torch.device("cuda", number)
    if count:
        found, advice = f"{count} CUDA device(s)", f"Choose one of cuda:0 to cuda:{count - 1}."
    else:
        found = "no CUDA device"
        advice = "Check the driver (nvidia-smi) and that torch is a CUDA build, or set run.device: cpu."
    raise EncoderError(f"run.device: {requested!r} is not available: torch {torch.__version__} found {found}. {advice}")


def resolve_devices(requested: str, processes: int | Literal["auto"] = "auto") -> list[str]:
    """The device of each worker process on this machine.

    Args:
        requested: as for `resolve_device`, but `auto` uses every CUDA device.
        processes: number of processes; if there are fewer devices, processes share them. `auto`: one per device.

    Raises:
        EncoderError: see `resolve_device`.
    """
    device = resolve_device(requested)
    count = torch.cuda.device_count() if requested == "auto" and device.type == "cuda" else 1
    devices = [f"cuda:{number}" for number in range(count)] if count > 1 else [str(device)]
    return [devices[k % len(devices)] for k in range(len(devices) if processes == "auto" else processes)]


def device_name(device: torch.device) -> str:
    """A short name for display, such as `cpu (2 threads)` or `cuda:0 NVIDIA H200`."""
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'' if threads == 1 else 's'})"
    return f"{device} {torch.cuda.get_device_name(device)}"
