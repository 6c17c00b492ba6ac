"""Build a CLIP with open_clip: its model with the right weights, and its tokenizer."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import open_clip
import torch
from open_clip.transformer import ResidualAttentionBlock, Transformer, VisionTransformer
from safetensors import SafetensorError, safe_open
from torch import nn

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_checkpoint import load_checkpoint
from expclip_cache.encoders.clip_files import CONFIG, WEIGHTS, ClipFiles
from expclip_cache.encoders.files import PICKLED, tokenizer_failed
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.model_folder import one_line
from expclip_cache.encoders.packed_linear import PackedSelfAttention, can_pack, pack_linears

Tokenizer = Callable[..., torch.Tensor]
"""Called with texts and `context_length`; returns (p, context_length) int64 token ids."""


class ImageTower(Protocol):
    """What open_clip's image towers share."""

    @property
    def image_size(self) -> int | tuple[int, int]:
        """Side of the input, or both sides, in pixels."""
        ...

    def parameters(self) -> Iterator[torch.Tensor]:
        """Its weights."""
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


def build_clip(
    name: str, files: ClipFiles, precision: str, device: torch.device, packed: bool
) -> tuple[ClipModel, Tokenizer]:
    """The frozen model on its device, with the weights in `files`, or random ones (seed 0), and its tokenizer.

    Args:
        name: for messages.
        files: from `find_clip_files`.
        precision: fp32, fp16 or bf16.
        packed: pack the image tower if it can be, see `encoders.packed_linear`.

    Raises:
        EncoderError: the weights do not fit the model, or it or its tokenizer cannot be built.
    """
    pickled = [file for file in files.weights if file.suffix in PICKLED]
    built_from = replace(files, weights=()) if pickled else files
    with _assembled(built_from) as folder:
        model = _build(name, folder, built_from, precision)
        tokenizer = _load_tokenizer(name, folder, files)
    for file in pickled:
        load_checkpoint(model, file)
    if built_from.weights:
        _check_positions(model, built_from.weights[0])
    model = model.to(device).eval().requires_grad_(False)
    if packed:
        pack_image_tower(model, precision, device)
    if device.type == "cpu":
        keep_freed_memory()
    return cast(ClipModel, model), tokenizer


def vocabulary_size(model: ClipModel) -> int:
    """How many tokens the text tower knows."""
    text: Any = getattr(model, "text", model)
    table = text.transformer.get_input_embeddings() if hasattr(text, "pooler") else text.token_embedding
    return int(table.num_embeddings)


@contextmanager
def _assembled(files: ClipFiles) -> Iterator[str]:
    """A folder as open_clip loads it, for the time of the block; its files are links to those in their own places."""
    with tempfile.TemporaryDirectory(prefix="expclip-") as name:
        folder = Path(name)
        config = {"model_cfg": dict(files.model), "preprocess_cfg": {}}
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        for file in files.weights:
            (folder / WEIGHTS[0]).symlink_to(file.resolve())
        source = files.tokenizer_folder
        for file in dict.fromkeys((*files.tokenizer, *files.config)):
            if source and source in file.parents and file.name != CONFIG:
                link = folder / file.relative_to(source)
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(file.resolve())
        yield f"local-dir:{folder}"


def _load_tokenizer(name: str, folder: str, files: ClipFiles) -> Tokenizer:
    # Unless told not to, transformers asks at a terminal whether to run a tokenizer's code.
    options: dict[str, Any] = {"trust_remote_code": False} if files.tokenizer_folder else {}
    try:
        return open_clip.get_tokenizer(folder, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EncoderError(tokenizer_failed("backbone", name, files.tokenizer_folder, error)) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without open_clip's warnings that a model has random weights, which our own reports say where it matters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _build(name: str, folder: str, files: ClipFiles, precision: str) -> nn.Module:
    """The model on the CPU; the global random generator is left as it was."""
    with torch.random.fork_rng(devices=[]), _without_warnings():
        torch.default_generator.manual_seed(0)
        try:
            return open_clip.create_model(
                folder,
                load_weights=bool(files.weights),
                require_pretrained=bool(files.weights),
                pretrained_text=False,
                precision=precision,
            )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, AssertionError, SafetensorError) as error:
            weights = files.weights[0].name if files.weights else "random weights"
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


def pack_image_tower(model: nn.Module, precision: str, device: torch.device) -> None:
    """Pack a vision transformer's blocks, which do nearly all of its work; other towers stay as they are.

    Nothing is done unless the device is a CPU on which float32 layers can be packed.
    """
    if isinstance(model.visual, VisionTransformer):
        pack_blocks(model.visual.transformer, precision, device)


def pack_blocks(transformer: Transformer, precision: str, device: torch.device) -> None:
    """Pack the blocks of a transformer that is used without a mask, where that can be done as above."""
    if precision == "fp32" and can_pack(device):
        for block in transformer.resblocks:
            if type(block) is ResidualAttentionBlock and block.attn.batch_first:
                block.add_module("attn", PackedSelfAttention(block.attn))
                pack_linears(block.mlp)
