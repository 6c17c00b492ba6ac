"""The two sides of a FLAVA."""

from typing import Any, cast

import torch
from torch import nn
from transformers import FlavaConfig, FlavaImageModel, FlavaPreTrainedModel, FlavaTextModel

from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles
from expclip_cache.encoders.kinds.hugging_face_encoder import HuggingFaceEncoder
from expclip_cache.encoders.kinds.hugging_face_model import build_model, freeze, read_config
from expclip_cache.encoders.kinds.hugging_face_texts import Texts
from expclip_cache.encoders.kinds.trained_preprocess import image_preprocess
from expclip_cache.encoders.settings import ClipSettings

CONTEXT_LENGTH = 77
"""Tokens of a text that the makers' code reads; there are positions for more."""

UNREAD = (
    r"^(flava\.)?(multimodal_model|image_to_mm_projection|text_to_mm_projection)\.",
    r"^(flava\.)?(image|text)_model\.pooler\.",
    r"^(image_codebook|(mim|mlm|itm|mmm_image|mmm_text)_head)\.",
)
"""What FLAVA has beside its two sides."""


class FlavaSides(FlavaPreTrainedModel):
    """FLAVA's image side and text side, with the names that their weights have in `FlavaModel`."""

    config: FlavaConfig

    def __init__(self, config: FlavaConfig):
        super().__init__(config)
        image, text = _sides(config)
        self.image_model = FlavaImageModel(image, add_pooling_layer=False)
        self.text_model = FlavaTextModel(text, add_pooling_layer=False)
        self.image_projection = nn.Linear(image.hidden_size, config.projection_dim)
        self.text_projection = nn.Linear(text.hidden_size, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()

    def encode_images(self, values: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) -> (b, d)."""
        return self.image_projection(self.image_model(pixel_values=values).last_hidden_state[:, 0])

    def encode_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """The tokenizer's tensors, (p, context) each -> (p, d)."""
        return self.text_projection(self.text_model(**tokens).last_hidden_state[:, 0])


def load_encoder(settings: ClipSettings, files: HuggingFaceFiles, device: torch.device) -> HuggingFaceEncoder:
    """The frozen FLAVA on its device.

    Raises:
        EncoderError: the model or its tokenizer cannot be built, or its weights do not fit.
    """
    config = cast(FlavaConfig, read_config(files))
    image, text = _sides(config)
    tokenizer = Texts(files, min(CONTEXT_LENGTH, text.max_position_embeddings), text.vocab_size)
    preprocess = image_preprocess(settings, files, image.image_size, whole_number="squash")
    model = build_model(FlavaSides, config, files, unread=UNREAD, renamed={r"^flava\.": ""})
    scale = float(model.logit_scale.detach().exp())
    freeze(model, settings.precision, device)
    return HuggingFaceEncoder(
        files,
        settings,
        device,
        images=model.encode_images,
        texts=model.encode_texts,
        tokenizer=tokenizer,
        preprocess=preprocess,
        width=config.projection_dim,
        logit_scale=scale,
    )


def _sides(config: FlavaConfig) -> tuple[Any, Any]:
    """The configs of image side and text side, which the library types as anything or None."""
    return config.image_config, config.text_config
