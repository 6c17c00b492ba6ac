"""The frozen BLIP-2 (or InstructBLIP) with Flan-T5: an image -> the mean of the T5 encoder's states.

    image -> vision model -> Q-Former -> projection -> q query positions -┐
    instruction -> T5's token embeddings ------------> k token positions -┴-> T5 encoder -> final layer norm -> mean

The mean is over all q + k positions (32 queries, and the instruction's tokens with </s>; there is no padding). No text
is generated, and the decoder is never loaded.

Compared with the published code (LAVIS, Exp-CLIP):

- The states are read from the encoder's final layer norm, before the dropout that follows it.
- `mode: dropout` is the reference's train(): dropout in the Q-Former (embeddings, attention, residual branches) and in
  T5 (inputs, attention, feed-forward, residual branches), 0.1 throughout. The vision model is in evaluation mode there
  too, and has no dropout.
- `precision: reference` uses LAVIS's types: the vision model's linear layers and patch embedding in float16 under
  autocast with a float32 residual stream, Q-Former and projection in float32, T5 in bfloat16 with a float32 residual
  stream. The mean is taken in float32 (in LAVIS: bfloat16). It also runs on the CPU, slowly.
- LAVIS has an epsilon of 1e-6 in the vision model's layer norms and of 1e-5 in the one that follows them; Hugging
  Face's conversion has a single `layer_norm_eps`. LAVIS uses the exact GELU in T5; the conversion records that as
  `dense_act_fn`. The folder's config.json is used as it is, and `describe` reports both values.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from expclip_cache.base import EncoderError
from expclip_cache.encoders.blip2_queries import patches, projected_queries
from expclip_cache.encoders.dropout_seed import mask_seed, seeded
from expclip_cache.encoders.files import tokenizer_failed
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.libraries import LLM_LIBRARIES, loaded_libraries
from expclip_cache.encoders.llm_files import LlmFiles, find_llm_files
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.encoders.ordinary_tensor import ordinary
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.preprocess import Preprocess, preprocess, to_float
from expclip_cache.encoders.t5_targets import InstructBlipTargets, TargetModel, load_targets, typed_config

logger = logging.getLogger(__name__)


class Blip2T5Encoder:
    """A frozen BLIP-2 up to its T5 encoder, with one instruction. Its targets are raw, not L2-normalised.

    Attributes:
        width: t, the width of T5 (4096 for XXL, 2048 for XL).
        vectors: of an image, always 1.
        image_size: side of the square that the vision model takes, in pixels.
        device: where the model runs.
        preprocess: how an image becomes the pixels that `encode_images` takes.
        draw: which dropout masks are drawn, in mode dropout.
    """

    vectors = 1

    def __init__(self, model: TargetModel, files: LlmFiles, settings: LlmSettings, device: torch.device, draw: int):
        self._model = model
        self._config = typed_config(model.config)
        self.device = device
        self.draw = draw
        self.width = self._config.text_config.d_model
        self.image_size = square_side(self._config.vision_config.image_size)
        self.preprocess: Preprocess = preprocess(settings.preprocess, self.image_size, settings.decode)
        self._mode = settings.mode
        self._mixed = settings.precision == "reference"
        self._hashes = files.hashes()
        self._library = loaded_libraries(LLM_LIBRARIES, files.commits)
        self._token_ids = token_ids(load_tokenizer(files.folder), settings.instruction)
        self._qformer_ids = None
        if isinstance(model, InstructBlipTargets):
            of_qformer = load_tokenizer(files.folder / "qformer_tokenizer")
            self._qformer_ids = token_ids(of_qformer, settings.instruction).to(device)
        with torch.inference_mode():
            self._instruction = model.language_model.shared(self._token_ids.to(device))
        if settings.mode == "dropout":
            if not any(self._dropout_rates().values()):
                raise EncoderError(f"teacher {settings.model}: has no dropout in its config.json. Set mode: eval.")
            model.qformer.train()
            model.language_model.train()

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values."""
        return {
            **self._hashes,
            "width": self.width,
            "image_size": self.image_size,
            "model_type": self._config.model_type,
            "query_tokens": self._config.num_query_tokens,
            "instruction_token_ids": self._token_ids[0].tolist(),
            "vision_layer_norm_eps": self._config.vision_config.layer_norm_eps,
            "t5_activation": self._config.text_config.dense_act_fn,
            "dropout": self._dropout_rates(),
            "library": self._library,
        }

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pooled states of the T5 encoder.

        Args:
            pixels: (b, 3, h, w) uint8, h = w = `image_size`, as `read_pixels(path, self.preprocess)` makes them.
                In mode dropout the masks depend on `draw` and on the batch's own pixels: the same batch and draw give
                the same states on the same device. Mode eval has no randomness.

        Returns:
            (b, t) float32 on `device`, raw: the mean over query and instruction positions.

        Raises:
            ValueError: the pixels have another shape or dtype.
        """
        if self._mode == "eval":
            return self._encode(pixels)
        with seeded(mask_seed(self.draw, pixels), self.device):
            return self._encode(pixels)

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            values = to_float(pixels.to(self.device, non_blocking=True), self.preprocess)
            seen = patches(self._model, values, mixed=self._mixed)
            queries = projected_queries(self._model, seen, self._qformer_ids)
            instruction = self._instruction.expand(len(pixels), -1, -1)
            states = self._final_norm_states(torch.cat([queries, instruction], dim=1))
            pooled = states.float().mean(dim=1)
        return ordinary(pooled)

    def _final_norm_states(self, inputs: torch.Tensor) -> torch.Tensor:
        """(b, q + k, t) -> the final layer norm's output, which the encoder returns only after dropout."""
        encoder = self._model.language_model.encoder
        outputs: list[torch.Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            outputs.append(output)

        hook = encoder.final_layer_norm.register_forward_hook(keep)
        try:
            encoder(inputs_embeds=inputs)
        finally:
            hook.remove()
        return outputs[0]

    def _dropout_rates(self) -> dict[str, float]:
        qformer, text = self._config.qformer_config, self._config.text_config
        return {
            "qformer_hidden": float(qformer.hidden_dropout_prob),
            "qformer_attention": float(qformer.attention_probs_dropout_prob),
            "t5": float(text.dropout_rate),
        }


def load_blip2_t5(
    settings: LlmSettings, device: torch.device, draw: int = 0, commits: Sequence[str] = ()
) -> Blip2T5Encoder:
    """Build the BLIP-2 or InstructBLIP that the settings name, without its decoder, and freeze it.

    Args:
        settings: `model` is the packaged `demo`, a Hugging Face folder (`config.json`, tokenizer files, and
            `model.safetensors` or several files with their index) or a hub id, which `revision` pins.
        device: where the model runs.
        draw: of the dropout masks, in mode dropout.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: files are missing, do not fit or belong to another kind of model, the hub cannot be reached, or
            mode is dropout and the model has no dropout.
    """
    files = find_llm_files(settings, commits)
    model = load_targets(files, settings.precision)
    cast(nn.Module, model).to(device)  # the library's own `to` has no usable types
    if settings.precision == "fp32" and can_pack(device):
        pack_linears(model)
    if device.type == "cpu":
        keep_freed_memory()
    return Blip2T5Encoder(model, files, settings, device, draw)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder.

    Raises:
        EncoderError: it is missing or cannot be loaded.
    """
    if not (folder / "tokenizer_config.json").is_file():
        raise EncoderError(f"teacher: expected a tokenizer in {folder}, found no tokenizer_config.json there.")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EncoderError(tokenizer_failed("teacher", folder, folder, error)) from error


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> torch.Tensor:
    """(1, k) ids from a tokenizer with its default settings: for T5 they include the closing </s>."""
    ids = tokenizer(text, return_tensors="pt").input_ids
    unknown = 0 if tokenizer.unk_token_id is None else int((ids == tokenizer.unk_token_id).sum())
    if unknown:
        logger.warning("%d of the %d tokens of %r are unknown to the tokenizer", unknown, ids.numel(), text)
    return ids


def square_side(size: int | Iterable[int]) -> int:
    """The side of a square input."""
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise EncoderError(
            f"teacher: its vision model takes images of {size} pixels; only square inputs are supported."
        )
    return sides.pop()
