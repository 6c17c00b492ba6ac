"""A loopback hub with two tiny models, and a client in this process that uses it and waits less than usual."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
import pytest
from safetensors.torch import load_file, save_file

from expclip_cache.encoders import hub
from loopback_hub import LoopbackHub, loopback_hub
from tiny_encoders import write_blip2, write_clip


class Served(NamedTuple):
    """A hub with two models.

    Attributes:
        folders: the same models on this machine.
        cache: the hub's cache on this machine.
    """

    hub: LoopbackHub
    folders: Path
    cache: Path


@contextmanager
def served_models(folders: Path, patch: pytest.MonkeyPatch, *, xet: bool) -> Iterator[Served]:
    """A hub with both models, and a client that waits less than usual."""
    write_clip(folders / "clip")
    write_blip2(folders / "blip2")
    in_several_files(folders / "blip2")
    # Files of the kinds that repositories have beside the weights.
    (folders / "blip2" / "README.md").write_text("A model.")
    (folders / "blip2" / "model.fp16.safetensors").write_bytes(b"half")
    (folders / "blip2" / "pytorch_model.bin").write_bytes(b"pickle")
    patch.setenv("HF_XET_CACHE", str(folders / "xet"))
    patch.setattr(hub, "TIMEOUT", 0.5)
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        patch.setattr(huggingface_hub.constants, name, 0.5)
    patch.setattr(huggingface_hub.file_download, "_ETAG_RETRY_TIMEOUT", 0.5)
    patch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
    sleep = time.sleep
    patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    with loopback_hub() as server:
        use_hub(patch, server, folders / "hub")
        for name in ("clip", "blip2"):
            server.add(f"someone/{name}", folders / name, xet=xet)
        yield Served(server, folders, folders / "hub")


def use_hub(patch: pytest.MonkeyPatch, server: LoopbackHub, cache: Path) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE do in a new process."""
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def in_several_files(folder: Path) -> None:
    """Split weights as published ones are: the last two files hold nothing but the decoder."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    decoder = [name for name in weights if name.startswith(("language_model.decoder.", "language_model.lm_head."))]
    others = [name for name in weights if name not in decoder]
    parts = [others[::2], others[1::2], decoder[::2], decoder[1::2]]
    index = {}
    for number, names in enumerate(parts, 1):
        file = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        save_file({name: weights[name] for name in names}, folder / file, {"format": "pt"})
        index |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
