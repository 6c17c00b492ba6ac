"""CLIP and its relatives in transformers: their classes, and what sets one apart from another."""

from typing import Any, NamedTuple

import torch
import transformers
from torch import nn

from expclip_cache.base import EncoderError
from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles
from expclip_cache.encoders.kinds.hugging_face_encoder import HuggingFaceEncoder
from expclip_cache.encoders.kinds.hugging_face_model import build_model, freeze, read_config
from expclip_cache.encoders.kinds.hugging_face_texts import Texts
from expclip_cache.encoders.kinds.trained_preprocess import image_preprocess
from expclip_cache.encoders.settings import ClipSettings

MASKED = ("input_ids", "attention_mask")


class Model(NamedTuple):
    """One class of models.

    Attributes:
        name: of the class in transformers.
        context_length: tokens of a text, where the makers trained with fewer than there are positions for.
        inputs: what the text side takes. SigLIP sees its padding as it was trained to, without a mask.
    """

    name: str
    context_length: int | None = None
    inputs: tuple[str, ...] = MASKED


MODELS = {
    "align": Model("AlignModel", 64),
    "altclip": Model("AltCLIPModel", 77),
    "chinese_clip": Model("ChineseCLIPModel", 52),
    "clip": Model("CLIPModel"),
    "metaclip_2": Model("MetaClip2Model"),
    "siglip": Model("SiglipModel", inputs=("input_ids",)),
}
"""By model_type."""


def load_encoder(settings: ClipSettings, files: HuggingFaceFiles, device: torch.device) -> HuggingFaceEncoder:
    """The frozen model on its device.

    Raises:
        EncoderError: the model or its tokenizer cannot be built, or its weights do not fit.
    """
    config: Any = read_config(files)
    kind = MODELS[config.model_type]
    if config.model_type == "align":
        _check_align(settings)
    positions = config.text_config.max_position_embeddings
    tokenizer = Texts(
        files, min(kind.context_length or positions, positions), config.text_config.vocab_size, kind.inputs
    )
    preprocess = image_preprocess(settings, files, _image_size(config, files))
    model: Any = build_model(getattr(transformers, kind.name), config, files)
    scale = _logit_scale(model)
    freeze(model, settings.precision, device)
    return HuggingFaceEncoder(
        files,
        settings,
        device,
        images=lambda values: model.get_image_features(pixel_values=values).pooler_output,
        texts=lambda tokens: model.get_text_features(**tokens).pooler_output,
        tokenizer=tokenizer,
        preprocess=preprocess,
        width=_width(config),
        logit_scale=scale,
    )


def _check_align(settings: ClipSettings) -> None:
    """Refuse what an EfficientNet does not do as the others do."""
    if settings.weights == "random":
        raise EncoderError(
            "backbone: weights: random: an untrained ALIGN gives every image the same features, because its "
            "normalisation layers have no statistics yet. Choose another model to try a pipeline with."
        )
    if settings.preprocess == "clip":
        raise EncoderError(
            "preprocess: clip: ALIGN was trained on crops from the middle of larger squares, which is not supported. "
            "Set preprocess: reference."
        )


def _image_size(config: Any, files: HuggingFaceFiles) -> object:
    """ALIGN's convolutions take any size: the one that it was trained with is where its preprocessing is."""
    if config.model_type != "align":
        return config.vision_config.image_size
    said = files.preprocessor
    return said.get("crop_size") or said.get("size") or "unknown"


def _width(config: Any) -> int:
    """Of both sides' features; SigLIP's image side ends without a projection."""
    return int(config.vision_config.hidden_size if config.model_type == "siglip" else config.projection_dim)


def _logit_scale(model: nn.Module) -> float:
    """ALIGN divides by a temperature."""
    if (temperature := getattr(model, "temperature", None)) is not None:
        return 1 / float(temperature.detach())
    return float(model.get_parameter("logit_scale").detach().exp())
