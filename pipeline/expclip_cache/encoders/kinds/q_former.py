"""BLIP-2's Q-Former as the two sides of an image-text model.

A fixed number of query tokens reads the vision model's output through cross-attention; a text passes through the same
layers without it. Both are called here themselves: `Blip2ForImageTextRetrieval` drops the first tokens of a text if its
config names a token for images.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Blip2Config, Blip2PreTrainedModel, Blip2QFormerModel
from transformers.models.blip_2.modeling_blip_2 import Blip2TextEmbeddings

from expclip_cache.encoders.kinds.hugging_face_model import freeze


class QFormerModel(Blip2PreTrainedModel):
    """Everything but the vision model; a subclass adds it as `vision_model`, and calls `post_init`."""

    config: Blip2Config

    def __init__(self, config: Blip2Config):
        super().__init__(config)
        q_former: Any = config.qformer_config
        width = config.image_text_hidden_size
        self.query_tokens = nn.Parameter(torch.empty(1, config.num_query_tokens, q_former.hidden_size))
        nn.init.normal_(self.query_tokens, std=q_former.initializer_range)
        self.embeddings = Blip2TextEmbeddings(q_former)
        self.qformer = Blip2QFormerModel(q_former)
        self.vision_projection = nn.Linear(q_former.hidden_size, width)
        self.text_projection = nn.Linear(q_former.hidden_size, width)

    def image_vectors(self, states: Tensor) -> Tensor:
        """The vision model's output (b, s, w) in any precision -> (b, q, d)."""
        queries = self.query_tokens.expand(len(states), -1, -1)
        return self.vision_projection(self.qformer(queries, encoder_hidden_states=states).last_hidden_state)

    def encode_texts(self, tokens: dict[str, Tensor]) -> Tensor:
        """The tokenizer's tensors, (p, context) each -> (p, d), of the first token."""
        states = self.qformer(
            self.embeddings(tokens["input_ids"]), query_length=0, attention_mask=tokens["attention_mask"]
        ).last_hidden_state
        return self.text_projection(states[:, 0])


def freeze_parts(model: nn.Module, precision: str, device: torch.device) -> None:
    """Freeze the vision model in this precision, and the rest in float32, as LAVIS and transformers run BLIP-2."""
    model.to(device).eval().requires_grad_(False)
    for name, part in model.named_children():
        freeze(part, precision if name == "vision_model" else "fp32", device)
