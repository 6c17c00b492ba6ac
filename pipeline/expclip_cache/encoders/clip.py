"""The frozen CLIP: its image tower sees the faces, its text tower reads the prompts (open_clip)."""

from pathlib import Path

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from safetensors import SafetensorError, safe_open

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_source import clip_source
from expclip_cache.encoders.files import Source, reason
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.images import Preprocess, preprocess, to_float
from expclip_cache.encoders.packed_linear import PackedSelfAttention, can_pack, pack_linears
from expclip_cache.encoders.settings import ClipSettings

TEXT_BATCH = 256
"""Prompts encoded at once."""


class ClipEncoder:
    """A frozen CLIP in evaluation mode. Features are raw: nothing is L2-normalised here.

    Attributes:
        width: d, the width of both towers' features.
        image_size: side of the square the image tower expects, in pixels.
        logit_scale: exp of CLIP's parameter `logit_scale` (100 for OpenAI's), the scale of the head's loss.
        context_length: tokens per prompt, start and end included.
        device: where it runs.
        preprocess: how a picture becomes the pixels that `encode_images` takes.
    """

    def __init__(self, model: torch.nn.Module, name: str, source: Source, params: ClipSettings, device: torch.device):
        config = open_clip.get_model_config(name)
        self.device = device
        self.width = int(config["embed_dim"])
        self.image_size = _side(model.visual.image_size)
        self.logit_scale = float(model.logit_scale.detach().float().exp())
        self.context_length = int(config["text_cfg"].get("context_length", 77))
        self.preprocess: Preprocess = preprocess(params.preprocess, self.image_size, params.decode)
        self._model = model
        self._dtype = open_clip.get_input_dtype(params.precision) or torch.float32
        self._tokenizer = _tokenizer(name)
        self._vocabulary = int(config["text_cfg"].get("vocab_size", 49408))
        self._activation = "quick_gelu" if config.get("quick_gelu") else "gelu"
        self._identity = source.identity()

    def describe(self) -> dict[str, object]:
        """What is known only once the encoder is loaded, as JSON values."""
        return {
            **self._identity,
            "width": self.width,
            "image_size": self.image_size,
            "context_length": self.context_length,
            "logit_scale": self.logit_scale,
            "activation": self._activation,
            "library": f"open_clip {open_clip.__version__}, torch {torch.__version__}",
        }

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of the image tower.

        Args:
            pixels: (b, 3, h, w) uint8, h = w = `image_size`, as `read_pixels(path, self.preprocess)` makes them.

        Returns:
            (b, d) float32 on `device`, raw.

        Raises:
            ValueError: pixels of another shape or dtype.
        """
        with torch.inference_mode():
            values = to_float(pixels.to(self.device, non_blocking=True), self.preprocess)
            features = self._model.encode_image(values.to(self._dtype))
        return _plain(features)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        """Features of the text tower.

        Args:
            texts: p prompts.

        Returns:
            (p, d) float32 on `device`, raw.

        Raises:
            EncoderError: a prompt is longer than the context, or the tokenizer is not the text tower's.
        """
        if not texts:
            return torch.empty(0, self.width, device=self.device)
        tokens = self._tokens(texts)
        with torch.inference_mode():
            parts = [self._model.encode_text(part.to(self.device)) for part in tokens.split(TEXT_BATCH)]
            features = torch.cat(parts)
        return _plain(features)

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        """(p, context) token ids. open_clip cuts long prompts in silence; here that is an error."""
        tokens = self._tokenizer(texts, context_length=self.context_length)
        if int(tokens.max()) >= self._vocabulary:
            raise EncoderError(
                f"clip.model: its tokenizer gives token {int(tokens.max())}, its text tower knows "
                f"{self._vocabulary}. The folder's tokenizer files belong to another model or are missing."
            )
        # A prompt that was cut ends in the end token where one more position would have shown another.
        roomier = self._tokenizer(texts, context_length=self.context_length + 1)
        cut = (tokens != roomier[:, :-1]).any(dim=1).nonzero().flatten().tolist()
        if cut:
            raise EncoderError(
                f"prompt {texts[cut[0]]!r} has more than the {self.context_length} tokens this CLIP reads. Shorten it."
            )
        return tokens


def load_clip(params: ClipSettings, device: torch.device) -> ClipEncoder:
    """Build the CLIP that `params` names and freeze it.

    Args:
        params: `model` is the packaged `demo`, a folder (`open_clip_config.json`, tokenizer files and
            `open_clip_model.safetensors`), an architecture of open_clip, or `hf-hub:<owner>/<name>`. `weights` is
            `pretrained` for a folder's or repository's own, one of open_clip's tags or a .safetensors file for
            an architecture, or `random` (seed 0).
        device: where it is to run.

    Raises:
        EncoderError: unknown model or tag, weights missing or not fitting, no way to reach the hub.
    """
    source = clip_source(params)
    name = params.model if source.folder is None else f"local-dir:{source.folder}"
    model = _build(name, source, params.precision)
    if source.weights:
        _check_positions(model, source)
    model = model.to(device).eval().requires_grad_(False)
    if params.precision == "fp32" and can_pack(device):
        _pack_image_tower(model)
    if device.type == "cpu":
        keep_freed_memory()
    return ClipEncoder(model, name, source, params, device)


def _build(name: str, source: Source, precision: str) -> torch.nn.Module:
    """The model on the CPU, with the source's weights or random ones; the global generator stays as it was."""
    file = str(source.weights[0]) if source.weights else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            return open_clip.create_model(
                name,
                pretrained=file if source.folder is None else None,
                load_weights=file is not None,
                require_pretrained=file is not None,
                pretrained_text=False,
                precision=precision,
            )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, AssertionError, SafetensorError) as error:
            weights = Path(file).name if file else "random weights"
            raise EncoderError(f"clip.model: {name} cannot be built with {weights}: {reason(error)}.") from error


def _pack_image_tower(model: torch.nn.Module) -> None:
    """A vision transformer's blocks, which hold nearly all of its work; other towers stay as they are."""
    if isinstance(model.visual, VisionTransformer):
        for block in model.visual.transformer.resblocks:
            if type(block) is ResidualAttentionBlock and block.attn.batch_first:
                block.attn = PackedSelfAttention(block.attn)
                pack_linears(block.mlp)


def _check_positions(model: torch.nn.Module, source: Source) -> None:
    """Refuse weights of another image size or context length: open_clip resamples them without a word."""
    own = model.state_dict()
    with safe_open(source.weights[0], framework="pt") as file:
        stored = set(file.keys())
        for key in ("visual.positional_embedding", "positional_embedding", "text.positional_embedding"):
            if key not in stored or key not in own:
                continue
            found, expected = tuple(file.get_slice(key).get_shape()), tuple(own[key].shape)
            if found != expected:
                raise EncoderError(
                    f"clip.weights: {key} in {source.weights[0]} is {found}, the model's is {expected}: they "
                    "were trained for another image size or context length. Name the architecture they fit."
                )


def _tokenizer(name: str) -> HFTokenizer | SimpleTokenizer:
    try:
        return open_clip.get_tokenizer(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EncoderError(
            f"clip.model: the tokenizer of {name} cannot be loaded ({reason(error)}). A folder whose "
            "open_clip_config.json has hf_tokenizer_name holds tokenizer.json and tokenizer_config.json too."
        ) from error


def _side(size: int | tuple[int, int]) -> int:
    """The side of a square input."""
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise EncoderError(f"clip.model: its image tower takes {size} pixels; only squares are supported.")
    return sides.pop()


def _plain(features: torch.Tensor) -> torch.Tensor:
    """As float32, and as an ordinary tensor: one made under inference_mode can never take part in training."""
    return features.to(torch.float32).clone()
