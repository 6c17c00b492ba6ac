"""BLIP-2 and InstructBLIP without their decoder: vision model, Q-Former, projection, T5 encoder.

The classes keep the parameter names of the complete models, so that a complete checkpoint loads into them. The
decoder's tensors in it are left unread.
"""

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    AutoConfig,
    Blip2Config,
    Blip2PreTrainedModel,
    Blip2QFormerModel,
    Blip2VisionModel,
    InstructBlipConfig,
    InstructBlipPreTrainedModel,
    InstructBlipQFormerModel,
    InstructBlipVisionModel,
    T5EncoderModel,
)

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import Source, reason

FULL_PRECISION = ["vision_model", "query_tokens", "qformer", "language_projection"]
"""Everything but T5: read as float32 when T5 is read as bfloat16."""

UNREAD = [r"^language_model\.decoder\.", r"^language_model\.lm_head\.", r"position_ids$"]
"""Tensors of a complete checkpoint that have no place here (the last are counters that old versions stored)."""

EMBEDDING_STD = 0.02
"""Standard deviation of random query tokens, class and position embeddings, as both pre-trainings had it."""


class Blip2Targets(Blip2PreTrainedModel):
    """BLIP-2 up to the T5 encoder."""

    _keep_in_fp32_modules_strict = FULL_PRECISION
    _keys_to_ignore_on_load_unexpected = UNREAD

    def __init__(self, config: Blip2Config):
        super().__init__(config)
        self.vision_model = Blip2VisionModel._from_config(config.vision_config)
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_tokens, config.qformer_config.hidden_size))
        self.qformer = Blip2QFormerModel._from_config(config.qformer_config)
        self.language_projection = nn.Linear(config.qformer_config.hidden_size, config.text_config.hidden_size)
        self.language_model = T5EncoderModel._from_config(config.text_config)
        self.post_init()


class InstructBlipTargets(InstructBlipPreTrainedModel):
    """InstructBLIP up to the T5 encoder; its Q-Former reads the instruction too."""

    _keep_in_fp32_modules_strict = FULL_PRECISION
    _keys_to_ignore_on_load_unexpected = UNREAD

    def __init__(self, config: InstructBlipConfig):
        super().__init__(config)
        self.vision_model = InstructBlipVisionModel._from_config(config.vision_config)
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_tokens, config.qformer_config.hidden_size))
        self.qformer = InstructBlipQFormerModel._from_config(config.qformer_config)
        self.language_projection = nn.Linear(config.qformer_config.hidden_size, config.text_config.hidden_size)
        self.language_model = T5EncoderModel._from_config(config.text_config)
        self.post_init()


TargetModel = Blip2Targets | InstructBlipTargets


def load_targets(source: Source, precision: str) -> TargetModel:
    """The frozen model on the CPU, with the source's weights, or random ones when it has none.

    Args:
        source: from `llm_source`.
        precision: `fp32`, or `reference` for LAVIS's types: T5 in bfloat16, Q-Former and projection in float32, the
            vision model's linear layers in float16 and the rest of it in float32 (it then runs under autocast).

    Raises:
        EncoderError: not a BLIP-2 or InstructBLIP with a T5, or tensors missing, left over or of another shape.
    """
    config = _config(source)
    kind = Blip2Targets if isinstance(config, Blip2Config) else InstructBlipTargets
    model = _read(kind, config, source, precision) if source.weights else _random(kind, config)
    if precision == "reference":
        model.language_model.to(torch.bfloat16)
        for module in model.vision_model.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.float16)
    return model.eval().requires_grad_(False)


def _config(source: Source) -> Blip2Config | InstructBlipConfig:
    try:
        config = AutoConfig.from_pretrained(source.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"llm.model: {source.folder}/config.json cannot be read: {reason(error)}.") from error
    text = getattr(getattr(config, "text_config", None), "model_type", "none")
    if not isinstance(config, Blip2Config | InstructBlipConfig) or text != "t5":
        raise EncoderError(
            f"llm.model: expected a BLIP-2 or InstructBLIP with a T5 language model in {source.folder}, found "
            f"model_type {config.model_type!r} with language model {text!r}. Use one of the flan-t5 variants."
        )
    return config


def _read(
    kind: type[TargetModel], config: Blip2Config | InstructBlipConfig, source: Source, precision: str
) -> TargetModel:
    """Load safetensors, and accept nothing less than every tensor of the model."""
    try:
        model, report = kind.from_pretrained(
            source.folder,
            config=config,
            dtype=torch.float32 if precision == "fp32" else torch.bfloat16,
            use_safetensors=True,
            local_files_only=True,
            key_mapping=_renamed_table(source),
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EncoderError(f"llm.model: the weights in {source.folder} cannot be loaded: {reason(error)}.") from error
    for what in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(str(key) for key in report[what])
        if names:
            raise EncoderError(
                f"llm.model: the weights in {source.folder} do not fit its config.json: {len(names)} "
                f"{what.replace('_', ' ')}, {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}. Fetch it again."
            )
    return model


def _renamed_table(source: Source) -> dict[str, str] | None:
    """T5's token table is shared by encoder and decoder; files that store it once may do so as the decoder's."""
    stored: set[str] = set()
    for file in source.weights:
        with safe_open(file, framework="pt") as tensors:
            stored.update(tensors.keys())
    if stored & {"language_model.shared.weight", "language_model.encoder.embed_tokens.weight"}:
        return None
    return {r"^language_model\.decoder\.embed_tokens\.": "language_model.shared."}


def _random(kind: type[TargetModel], config: Blip2Config | InstructBlipConfig) -> TargetModel:
    """Random weights of seed 0; the global generator stays as it was.

    Built from scratch, the library gives the vision model weights of 1e-10 and the query tokens zeros: every picture
    would look the same. Both are drawn again here, linear layers and the patches' with variance 1 / fan-in.
    """
    for section in (config, config.vision_config, config.qformer_config, config.text_config):
        section.dtype = torch.float32  # else each part takes the type its published weights happen to be stored in
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        model = kind(config)
        model.query_tokens.normal_(0.0, EMBEDDING_STD)
        embeddings = model.vision_model.embeddings
        embeddings.class_embedding.normal_(0.0, EMBEDDING_STD)
        embeddings.position_embedding.normal_(0.0, EMBEDDING_STD)
        for module in model.vision_model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.normal_(0.0, module.weight[0].numel() ** -0.5)
    return model
