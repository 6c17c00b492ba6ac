"""BLIP-2 of transformers as a vision model and a Q-Former that reads both its output and texts."""

from typing import Any, cast

import torch
from transformers import Blip2Config, Blip2VisionConfig, Blip2VisionModel

from expclip_cache.encoders.kinds.blip_texts import CONTEXT_LENGTH, CleanedTexts
from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles
from expclip_cache.encoders.kinds.hugging_face_encoder import HuggingFaceEncoder
from expclip_cache.encoders.kinds.hugging_face_model import build_model, read_config
from expclip_cache.encoders.kinds.q_former import QFormerModel, freeze_parts
from expclip_cache.encoders.kinds.trained_preprocess import image_preprocess
from expclip_cache.encoders.settings import ClipSettings

UNREAD = (r"^itm_head\.",)
"""The head that judges an image and a text together."""

LOGIT_SCALE = 1.0
"""transformers' logits are the cosines themselves: the temperature of LAVIS's checkpoints is not in its files."""


class Blip2ItcModel(QFormerModel):
    """`Blip2ForImageTextRetrieval` without its head, with the same names of weights."""

    def __init__(self, config: Blip2Config):
        super().__init__(config)
        self.vision_model = Blip2VisionModel(cast(Blip2VisionConfig, config.vision_config))
        self.post_init()

    def encode_images(self, values: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) -> (b, q, d)."""
        return self.image_vectors(self.vision_model(pixel_values=values).last_hidden_state)


def load_encoder(settings: ClipSettings, files: HuggingFaceFiles, device: torch.device) -> HuggingFaceEncoder:
    """The frozen BLIP-2 on its device.

    Raises:
        EncoderError: the model or its tokenizer cannot be built, or its weights do not fit.
    """
    config: Any = read_config(files)
    q_former = config.qformer_config
    context = min(CONTEXT_LENGTH, q_former.max_position_embeddings)
    tokenizer = CleanedTexts(files, context, q_former.vocab_size)
    preprocess = image_preprocess(settings, files, config.vision_config.image_size, whole_number="squash")
    model = build_model(Blip2ItcModel, config, files, unread=UNREAD)
    freeze_parts(model, settings.precision, device)
    return HuggingFaceEncoder(
        files,
        settings,
        device,
        images=model.encode_images,
        texts=model.encode_texts,
        tokenizer=tokenizer,
        preprocess=preprocess,
        width=config.image_text_hidden_size,
        logit_scale=LOGIT_SCALE,
        vectors=config.num_query_tokens,
    )
