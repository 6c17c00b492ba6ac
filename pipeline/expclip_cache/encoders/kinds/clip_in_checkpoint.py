"""A CLIP that is one part of a larger checkpoint: where its files are, and the model with its weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_files import ClipFiles, find_clip_files
from expclip_cache.encoders.settings import ClipSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from expclip_cache.encoders.clip_model import ClipModel, Tokenizer

BACKBONE = "backbone."
"""What EmoCLIP and EmotionCLIP put before the names of their CLIP's weights."""

SCALE = "logit_scale"
"""Of the whole model; it counts, and that of the CLIP inside does not."""


def find_checkpoint_files(
    settings: ClipSettings, commits: Sequence[str], source: str, *, local_only: bool
) -> ClipFiles:
    """The checkpoint, and what its CLIP needs besides.

    Args:
        settings: `model` is the architecture of the CLIP as kind `open-clip` has it, `weights` the checkpoint's path,
            or `random`.
        source: says where the makers publish it; ends the message if there is no such file.

    Raises:
        EncoderError: the architecture is unknown, or there is no such file.
    """
    architecture = settings.model_copy(update={"kind": "open-clip", "weights": "random"})
    files = find_clip_files(architecture, commits, local_only=local_only)
    if settings.weights == "random":
        return files
    path = Path(settings.weights).expanduser()
    if not path.is_file():
        raise EncoderError(
            f"backbone: kind {settings.kind} takes its weights from its makers' checkpoint; expected the path of that "
            f"file (or random), found {settings.weights!r}. {source}"
        )
    return replace(files, weights=(path,))


def build_in_checkpoint(
    settings: ClipSettings,
    files: ClipFiles,
    begin: str,
    other_part: "Callable[[Mapping[str, torch.Tensor]], nn.Module]",
    device: "torch.device",
) -> "tuple[ClipModel, Tokenizer, nn.Module]":
    """The CLIP, its tokenizer, and the other part of the checkpoint, frozen on the device; random weights have seed 0.

    Args:
        files: from `find_checkpoint_files`.
        begin: of the names of the other part's tensors.
        other_part: builds it in the size that these tensors have, all of the checkpoint's; there are none if the
            weights are random. Their values are loaded afterwards.

    Raises:
        EncoderError: the checkpoint cannot be read, or has not exactly the tensors of the two; the message names those
            that differ.
    """
    import torch

    from expclip_cache.encoders.clip_model import build_clip, pack_image_tower
    from expclip_cache.encoders.torch_file import read_state_dict, refuse_other_names

    tensors = read_state_dict(files.weights[0]) if files.weights else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        other = other_part(tensors)
    untrained = replace(files, weights=())
    model, tokenizer = build_clip(settings.model, untrained, settings.precision, device, packed=False)
    clip = cast("nn.Module", model)
    parts = {BACKBONE: clip, begin: other}
    if tensors:
        own = {start + name: value for start, part in parts.items() for name, value in part.state_dict().items()}
        refuse_other_names("backbone", files.weights[0], tensors, {**own, SCALE: own[BACKBONE + SCALE]})
        for start, part in parts.items():
            part.load_state_dict(_part_of(tensors, start))
        clip.load_state_dict({SCALE: tensors[SCALE]}, strict=False)
    for part in parts.values():
        part.to(device).eval().requires_grad_(False)
    pack_image_tower(clip, settings.precision, device)
    return model, tokenizer, other


def _part_of(tensors: "Mapping[str, torch.Tensor]", begin: str) -> "dict[str, torch.Tensor]":
    """The tensors whose names begin with this, without it."""
    return {name.removeprefix(begin): value for name, value in tensors.items() if name.startswith(begin)}


def layers_in(tensors: "Mapping[str, torch.Tensor]", begin: str) -> int:
    """How many numbered layers there are: `begin` is followed by their numbers."""
    return len({name.removeprefix(begin).partition(".")[0] for name in tensors if name.startswith(begin)})
