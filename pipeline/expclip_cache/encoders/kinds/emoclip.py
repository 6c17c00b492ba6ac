"""Kind `emoclip`: EmoCLIP (Foteinopoulou and Patras, arXiv:2310.16640), a CLIP ViT-B/32 with a temporal transformer.

`weights` is the makers' checkpoint, a .pt file, or the same in safetensors; `model` the architecture of its CLIP, by
default OpenAI's ViT-B/32. Image features are those of single frames, projected as CLIP's are. `pool: temporal` is the
makers' `encode_video`: a learned token before the frames, learned positions, pre-norm layers with tanh-GELU, and the
token's output. It runs in float32 whatever the precision of the CLIP. Heads are not in the checkpoint: there are 8.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from expclip_cache.encoders.kinds.clip_in_checkpoint import build_in_checkpoint, find_checkpoint_files, layers_in

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.clip_files import ClipFiles
    from expclip_cache.encoders.image_text import TemporalEncoder
    from expclip_cache.encoders.settings import ClipSettings

__all__ = ["find_files", "load"]

SOURCE = "Its makers publish it in the README of github.com/NickyFot/EmoCLIP; docs/temporal.md has more."

TEMPORAL = "temporal."
LAYERS = "temporal.temporal_transformer.layers."
QKV = LAYERS + "0.0.fn.fn.to_qkv.weight"
MLP = LAYERS + "0.1.fn.fn.net.0.weight"


def find_files(settings: "ClipSettings", commits: Sequence[str] = (), *, local_only: bool = False) -> "ClipFiles":
    """See `find_checkpoint_files`."""
    return find_checkpoint_files(settings, commits, SOURCE, local_only=local_only)


def load(settings: "ClipSettings", device: "torch.device", commits: Sequence[str] = ()) -> "TemporalEncoder":
    """Build EmoCLIP and freeze it; with random weights it has the published size.

    Raises:
        EncoderError: there is no such file, or it is not a checkpoint of EmoCLIP.
    """
    from expclip_cache.encoders.kinds.temporal_clip import TemporalClip

    files = find_files(settings, commits)
    temporal_part = partial(_temporal, width=int(files.model["embed_dim"]))
    model, tokenizer, temporal = build_in_checkpoint(settings, files, TEMPORAL, temporal_part, device)
    return TemporalClip(model, tokenizer, files, settings, device, temporal)


def _temporal(tensors: "Mapping[str, torch.Tensor]", width: int) -> "torch.nn.Module":
    """The temporal transformer in the size that the checkpoint has, or the published one."""
    from expclip_cache.encoders.kinds.emoclip_model import HEADS, TemporalTransformer

    if QKV not in tensors or MLP not in tensors:
        return TemporalTransformer(width)
    head_width = len(tensors[QKV]) // 3 // HEADS
    return TemporalTransformer(width, layers_in(tensors, LAYERS), head_width, len(tensors[MLP]))
