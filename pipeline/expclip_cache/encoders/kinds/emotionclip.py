"""Kind `emotionclip`: EmotionCLIP (Zhang, Pan and Wang, CVPR 2023), a CLIP ViT-B/32 with a head over 8 frames.

`weights` is the makers' checkpoint, a .pt file whose `model` is read, or the same in safetensors; `model` the
architecture of its CLIP, by default ViT-B/32 with plain GELU. Image features are the makers' `encode_image` with a mask
that covers the whole image, see `emotionclip_model`. `pool: temporal` is their head, in float32 whatever the precision
of the CLIP. Attention heads are not in the checkpoint: the visual head has 8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from expclip_cache.encoders.kinds.clip_in_checkpoint import build_in_checkpoint, find_checkpoint_files, layers_in

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.clip_files import ClipFiles
    from expclip_cache.encoders.image_text import TemporalEncoder
    from expclip_cache.encoders.settings import ClipSettings

__all__ = ["find_files", "load"]

SOURCE = "Its makers publish it in the README of github.com/Xeaver/EmotionCLIP; docs/temporal.md has more."

HEAD = "visual_head."
LAYERS = "visual_head.fusion_layer.layers."
MLP = LAYERS + "0.linear1.weight"

TRAINED = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bicubic", "crop": 224 / 256}
"""How the makers see images: shortest side 256, centre crop of 224, mean and standard deviation of ImageNet."""


def find_files(settings: "ClipSettings", commits: Sequence[str] = (), *, local_only: bool = False) -> "ClipFiles":
    """See `find_checkpoint_files`."""
    return replace(find_checkpoint_files(settings, commits, SOURCE, local_only=local_only), preprocess=TRAINED)


def load(settings: "ClipSettings", device: "torch.device", commits: Sequence[str] = ()) -> "TemporalEncoder":
    """Build EmotionCLIP and freeze it; with random weights it has the published size.

    Raises:
        EncoderError: there is no such file, or it is not a checkpoint of EmotionCLIP.
    """
    import torch
    from open_clip.transformer import VisionTransformer

    from expclip_cache.base import EncoderError
    from expclip_cache.encoders.kinds.emotionclip_model import SubjectTower
    from expclip_cache.encoders.kinds.temporal_clip import TemporalClip

    files = find_files(settings, commits)
    visual_head = partial(_head, width=int(files.model["embed_dim"]))
    model, tokenizer, head = build_in_checkpoint(settings, files, HEAD, visual_head, device)
    if not isinstance(model.visual, VisionTransformer):
        raise EncoderError(f"backbone: kind emotionclip needs a vision transformer; {settings.model} has none.")
    cast(torch.nn.Module, model).add_module("visual", SubjectTower(model.visual))
    return TemporalClip(model, tokenizer, files, settings, device, head)


def _head(tensors: "Mapping[str, torch.Tensor]", width: int) -> "torch.nn.Module":
    """The visual head in the size that the checkpoint has, or the published one."""
    from expclip_cache.encoders.kinds.emotionclip_model import VisualHead

    if MLP not in tensors:
        return VisualHead(width)
    return VisualHead(width, layers_in(tensors, LAYERS), len(tensors[MLP]))
