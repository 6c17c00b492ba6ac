"""Build a CLIP with open_clip: its model with the right weights, and its tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import open_clip
import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from safetensors import SafetensorError, safe_open
from torch import nn

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import EncoderFiles, one_line
from expclip_cache.encoders.packed_linear import PackedSelfAttention, can_pack, pack_linears

Tokenizer = Callable[..., torch.Tensor]
"""Called with texts and `context_length`; returns (p, context_length) int64 token ids."""


class ImageTower(Protocol):
    """The attribute that open_clip's image towers share."""

    @property
    def image_size(self) -> int | tuple[int, int]:
        """Side of the input, or both sides, in pixels."""
        ...


class ClipModel(Protocol):
    """What open_clip's CLIP classes share; `create_model` is typed as returning any module."""

    @property
    def visual(self) -> ImageTower:
        """The image tower."""
        ...

    @property
    def logit_scale(self) -> torch.Tensor:
        """() the logarithm of the scale."""
        ...

    def encode_image(self, image: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) -> (b, d)."""
        ...

    def encode_text(self, text: torch.Tensor) -> torch.Tensor:
        """(p, context) int64 -> (p, d)."""
        ...


def load_clip_model(name: str, files: EncoderFiles, precision: str, device: torch.device) -> ClipModel:
    """The frozen model on its device, with the weights in `files`, or random ones (seed 0) if there are none.

    Args:
        name: as open_clip takes it: an architecture, or `local-dir:<folder>`.
        files: from `find_clip_files`.
        precision: fp32, fp16 or bf16.

    Raises:
        EncoderError: the weights do not fit the model, or it cannot be built.
    """
    model = _build(name, files, precision)
    if files.weights:
        _check_positions(model, files.weights[0])
    model = model.to(device).eval().requires_grad_(False)
    if precision == "fp32" and can_pack(device):
        _pack_image_tower(model)
    return cast(ClipModel, model)


def model_config(name: str) -> dict[str, Any]:
    """The config of a model that has been built, as in `model_cfg` of open_clip_config.json."""
    config = open_clip.get_model_config(name)
    assert config is not None, name
    return config


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of the text tower.

    Raises:
        EncoderError: it cannot be loaded.
    """
    # Unless told not to, transformers asks at a terminal whether to run a tokenizer's code.
    of_transformers = bool(model_config(name).get("text_cfg", {}).get("hf_tokenizer_name"))
    options: dict[str, Any] = {"trust_remote_code": False} if of_transformers else {}
    try:
        return open_clip.get_tokenizer(name, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EncoderError(
            f"backbone: the tokenizer of {name} cannot be loaded ({one_line(error)}). A folder whose "
            "open_clip_config.json has hf_tokenizer_name needs tokenizer.json and tokenizer_config.json too."
        ) from error


def _build(name: str, files: EncoderFiles, precision: str) -> nn.Module:
    """The model on the CPU; the global random generator is left as it was."""
    file = str(files.weights[0]) if files.weights else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            return open_clip.create_model(
                name,
                pretrained=file if files.folder is None else None,
                load_weights=file is not None,
                require_pretrained=file is not None,
                pretrained_text=False,
                precision=precision,
            )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, AssertionError, SafetensorError) as error:
            weights = Path(file).name if file else "random weights"
            raise EncoderError(f"backbone: {name} cannot be built with {weights}: {one_line(error)}.") from error


def _check_positions(model: nn.Module, weights: Path) -> None:
    """Refuse weights for another image size or context length: open_clip resamples them silently."""
    own = model.state_dict()
    with safe_open(weights, framework="pt") as file:
        stored = set(file.keys())
        for key in ("visual.positional_embedding", "positional_embedding", "text.positional_embedding"):
            if key not in stored or key not in own:
                continue
            found, expected = tuple(file.get_slice(key).get_shape()), tuple(own[key].shape)
            if found != expected:
                raise EncoderError(
                    f"backbone: {key} in {weights} has shape {found}, the model's has {expected}: these weights "
                    "were trained for another image size or context length. Set its model to the architecture that "
                    "they belong to."
                )


def _pack_image_tower(model: nn.Module) -> None:
    """Pack a vision transformer's blocks, which do nearly all of its work; other towers stay as they are."""
    if isinstance(model.visual, VisionTransformer):
        for block in model.visual.transformer.resblocks:
            if type(block) is ResidualAttentionBlock and block.attn.batch_first:
                block.add_module("attn", PackedSelfAttention(block.attn))
                pack_linears(block.mlp)
