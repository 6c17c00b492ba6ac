"""The frozen BLIP-2 (or InstructBLIP) with Flan-T5: a face -> the T5 encoder's states under an instruction, averaged.

    image -> vision model -> Q-Former -> projection -> q query positions -┐
    instruction -> T5's token embeddings ------------> k token positions -┴-> T5 encoder -> final layer norm -> mean

The mean is over all q + k positions (32 and the instruction's tokens with </s>; there is no padding). No text is
generated and the decoder is never loaded.

Against the published code (LAVIS, Exp-CLIP):

- The states are read at the output of the encoder's final layer norm, before the dropout behind it.
- `mode: dropout` is the reference's train(): dropout in the Q-Former (embeddings, attention, residual branches) and in
  T5 (inputs, attention, feed-forward, residual branches), 0.1 throughout. The vision model stays in evaluation mode
  there too, and has no dropout.
- `precision: reference` has LAVIS's types: the vision model's linear layers and patches in float16 under autocast with
  a float32 residual stream, Q-Former and projection in float32, T5 in bfloat16 with a float32 residual stream. The
  mean is taken in float32 (there: bfloat16). It runs on the CPU as well, slowly.
- LAVIS has an epsilon of 1e-6 in the vision model's layer norms and of 1e-5 in the one behind them; Hugging Face's
  conversion has a single `layer_norm_eps`. LAVIS has the exact GELU in T5; the conversion says so by `dense_act_fn`.
  The folder's config.json is taken as it is, and `describe` reports both values.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import transformers
from transformers import AutoTokenizer

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import Source, reason
from expclip_cache.encoders.freed_memory import keep_freed_memory
from expclip_cache.encoders.images import Preprocess, preprocess, to_float
from expclip_cache.encoders.llm_source import llm_source
from expclip_cache.encoders.packed_linear import can_pack, pack_linears
from expclip_cache.encoders.settings import LlmSettings
from expclip_cache.encoders.t5_targets import InstructBlipTargets, TargetModel, load_targets

logger = logging.getLogger(__name__)


class Blip2T5Encoder:
    """A frozen BLIP-2 up to its T5 encoder, under one instruction. States are raw: nothing is L2-normalised here.

    Attributes:
        width: t, the width of T5 (4096 for XXL, 2048 for XL).
        image_size: side of the square the vision model expects, in pixels.
        device: where it runs.
        preprocess: how a picture becomes the pixels that `encode_images` takes.
        draw: which dropout masks are drawn, in mode dropout.
    """

    def __init__(self, model: TargetModel, source: Source, params: LlmSettings, device: torch.device, draw: int):
        self.device = device
        self.draw = draw
        self.width = int(model.config.text_config.d_model)
        self.image_size = _side(model.config.vision_config.image_size)
        self.preprocess: Preprocess = preprocess(params.preprocess, self.image_size, params.decode)
        self._model = model
        self._mode = params.mode
        self._mixed = params.precision == "reference"
        self._identity = source.identity()
        self._token_ids = _token_ids(source, "", params.instruction)
        self._qformer_ids = None
        if isinstance(model, InstructBlipTargets):
            self._qformer_ids = _token_ids(source, "qformer_tokenizer", params.instruction).to(device)
        with torch.inference_mode():
            self._instruction = model.language_model.shared(self._token_ids.to(device))
        if params.mode == "dropout":
            if not any(self._dropout_rates().values()):
                raise EncoderError(f"llm.mode: {params.model} has no dropout in its config.json. Set llm.mode: eval.")
            model.qformer.train()
            model.language_model.train()

    def describe(self) -> dict[str, object]:
        """What is known only once the encoder is loaded, as JSON values."""
        config = self._model.config
        return {
            **self._identity,
            "width": self.width,
            "image_size": self.image_size,
            "model_type": config.model_type,
            "query_tokens": int(config.num_query_tokens),
            "instruction_token_ids": self._token_ids[0].tolist(),
            "vision_layer_norm_eps": config.vision_config.layer_norm_eps,
            "t5_activation": config.text_config.dense_act_fn,
            "dropout": self._dropout_rates(),
            "library": f"transformers {transformers.__version__}, torch {torch.__version__}",
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
            ValueError: pixels of another shape or dtype.
        """
        if self._mode == "eval":
            return self._encode(pixels)
        with _seeded(mask_seed(self.draw, pixels), self.device):
            return self._encode(pixels)

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            values = to_float(pixels.to(self.device, non_blocking=True), self.preprocess)
            with torch.autocast(self.device.type, dtype=torch.float16, enabled=self._mixed):
                patches = self._model.vision_model(values).last_hidden_state.float()
            queries = self._model.language_projection(self._query_states(patches))
            instruction = self._instruction.expand(len(pixels), -1, -1)
            states = self._final_norm_states(torch.cat([queries, instruction], dim=1))
            pooled = states.float().mean(dim=1)
        # An ordinary tensor: one made under inference_mode can never take part in training.
        return pooled.clone()

    def _query_states(self, patches: torch.Tensor) -> torch.Tensor:
        """(b, 1 + patches, vision width) -> the Q-Former's query positions, (b, q, Q-Former width)."""
        queries = self._model.query_tokens.expand(len(patches), -1, -1)
        reads = {} if self._qformer_ids is None else {"input_ids": self._qformer_ids.expand(len(patches), -1)}
        output = self._model.qformer(query_embeds=queries, encoder_hidden_states=patches, **reads)
        return output.last_hidden_state[:, : queries.shape[1]]

    def _final_norm_states(self, inputs: torch.Tensor) -> torch.Tensor:
        """(b, q + k, t) -> the final layer norm's output, which the encoder returns only behind a dropout."""
        encoder = self._model.language_model.encoder
        kept: list[torch.Tensor] = []
        hook = encoder.final_layer_norm.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        try:
            encoder(inputs_embeds=inputs)
        finally:
            hook.remove()
        return kept[0]

    def _dropout_rates(self) -> dict[str, float]:
        qformer, text = self._model.config.qformer_config, self._model.config.text_config
        return {
            "qformer_hidden": float(qformer.hidden_dropout_prob),
            "qformer_attention": float(qformer.attention_probs_dropout_prob),
            "t5": float(text.dropout_rate),
        }


def load_blip2_t5(params: LlmSettings, device: torch.device, draw: int = 0) -> Blip2T5Encoder:
    """Build the BLIP-2 or InstructBLIP that `params` names, without its decoder, and freeze it.

    Args:
        params: `model` is the packaged `demo`, a Hugging Face folder (`config.json`, tokenizer files, and
            `model.safetensors` or shards with their index) or a hub id, which `revision` pins.
        device: where it is to run.
        draw: of the dropout masks, in mode dropout.

    Raises:
        EncoderError: files missing, not fitting or of another kind of model, no way to reach the hub, or dropout asked
            of a model without any.
    """
    source = llm_source(params)
    model = load_targets(source, params.precision).to(device)
    if params.precision == "fp32" and can_pack(device):
        pack_linears(model)
    if device.type == "cpu":
        keep_freed_memory()
    return Blip2T5Encoder(model, source, params, device, draw)


def _token_ids(source: Source, subfolder: str, text: str) -> torch.Tensor:
    """(1, k) ids, as the folder's tokenizer gives them by default: for T5 that includes the closing </s>."""
    folder = source.folder / subfolder
    if not (folder / "tokenizer_config.json").is_file():
        raise EncoderError(f"llm.model: expected a tokenizer in {folder}, found no tokenizer_config.json there.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EncoderError(f"llm.model: the tokenizer in {folder} cannot be loaded: {reason(error)}.") from error
    ids = tokenizer(text, return_tensors="pt").input_ids
    unknown = 0 if tokenizer.unk_token_id is None else int((ids == tokenizer.unk_token_id).sum())
    if unknown:
        logger.warning("%d of the instruction's %d tokens are unknown to the tokenizer", unknown, ids.numel())
    return ids


def mask_seed(draw: int, pixels: torch.Tensor) -> int:
    """Seed of a batch's dropout masks, 32 bits: from the draw and the sum of the batch's pixels."""
    # Torch's CPU generator looks at 32 bits of a seed only, so the two numbers are mixed rather than joined.
    both = f"{draw}:{int(pixels.sum(dtype=torch.int64))}"
    return int.from_bytes(hashlib.blake2b(both.encode(), digest_size=4).digest(), "big")


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of the CPU and of `device`, and put them back afterwards."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _side(size: int | list[int] | tuple[int, ...]) -> int:
    """The side of a square input."""
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise EncoderError(f"llm.model: its vision model takes {size} pixels; only squares are supported.")
    return sides.pop()
