"""Tiny checkpoints of EmoCLIP and EmotionCLIP, with the names that their makers' code gives to the tensors."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from expclip_cache.encoders import ClipSettings
from tiny_encoders import write_clip

WIDTH = 24
"""d of the tiny CLIP."""

LAYERS = 2
HEAD_WIDTH = 5
"""Of each of EmoCLIP's 8 heads: together they are wider than d, as the published ones."""

MLP = 40


def emoclip_tensors(clip: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As `torch.save(DDP(VClip()).state_dict())` has them."""
    random = torch.Generator().manual_seed(11)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random) * 0.3

    inner = 8 * HEAD_WIDTH
    found = {f"backbone.{name}": value for name, value in clip.items()}
    found["temporal.cls_token"] = values(1, 1, WIDTH)
    found["temporal.pos_embedding"] = values(1, 1024, WIDTH)
    for layer in range(LAYERS):
        at = f"temporal.temporal_transformer.layers.{layer}"
        found |= {
            f"{at}.0.fn.norm.weight": 1 + values(WIDTH),
            f"{at}.0.fn.norm.bias": values(WIDTH),
            f"{at}.0.fn.fn.to_qkv.weight": values(3 * inner, WIDTH),
            f"{at}.0.fn.fn.to_out.0.weight": values(WIDTH, inner),
            f"{at}.0.fn.fn.to_out.0.bias": values(WIDTH),
            f"{at}.1.fn.norm.weight": 1 + values(WIDTH),
            f"{at}.1.fn.norm.bias": values(WIDTH),
            f"{at}.1.fn.fn.net.0.weight": values(MLP, WIDTH),
            f"{at}.1.fn.fn.net.0.bias": values(MLP),
            f"{at}.1.fn.fn.net.3.weight": values(WIDTH, MLP),
            f"{at}.1.fn.fn.net.3.bias": values(WIDTH),
        }
    found["logit_scale"] = torch.tensor(3.5)
    return {f"module.{name}": value for name, value in found.items()}


def emotionclip_tensors(clip: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As `EmotionCLIP().state_dict()` has them; `logit_scale` is one parameter under two names."""
    random = torch.Generator().manual_seed(12)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random) * 0.3

    found = {"logit_scale": clip["logit_scale"]} | {f"backbone.{name}": value for name, value in clip.items()}
    found["visual_head.position_ids"] = torch.arange(8)
    for layer in range(LAYERS):
        at = f"visual_head.fusion_layer.layers.{layer}"
        found |= {
            f"{at}.self_attn.in_proj_weight": values(3 * WIDTH, WIDTH),
            f"{at}.self_attn.in_proj_bias": values(3 * WIDTH),
            f"{at}.self_attn.out_proj.weight": values(WIDTH, WIDTH),
            f"{at}.self_attn.out_proj.bias": values(WIDTH),
            f"{at}.linear1.weight": values(MLP, WIDTH),
            f"{at}.linear1.bias": values(MLP),
            f"{at}.linear2.weight": values(WIDTH, MLP),
            f"{at}.linear2.bias": values(WIDTH),
            f"{at}.norm1.weight": 1 + values(WIDTH),
            f"{at}.norm1.bias": values(WIDTH),
            f"{at}.norm2.weight": 1 + values(WIDTH),
            f"{at}.norm2.bias": values(WIDTH),
        }
    found["visual_head.fusion_layer.norm.weight"] = 1 + values(WIDTH)
    found["visual_head.fusion_layer.norm.bias"] = values(WIDTH)
    found["visual_head.frame_position_embedding.weight"] = values(8, WIDTH)
    return found


def write_emoclip(folder: Path) -> ClipSettings:
    """A tiny CLIP's folder with an EmoCLIP in it, as its makers save it."""
    clip = write_clip(folder)
    torch.save(emoclip_tensors(_weights(folder)), folder / "emoclip.pt")
    return ClipSettings(kind="emoclip", model=clip.model, weights=str(folder / "emoclip.pt"))


def write_emotionclip(folder: Path) -> ClipSettings:
    """A tiny CLIP's folder with an EmotionCLIP in it, as its makers save it."""
    clip = write_clip(folder)
    saved = {"args": {"video_len": 8}, "epoch": 3, "model": emotionclip_tensors(_weights(folder)), "optimizer": {}}
    torch.save(saved, folder / "emotionclip.pt")
    return ClipSettings(kind="emotionclip", model=clip.model, weights=str(folder / "emotionclip.pt"))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "open_clip_model.safetensors")
