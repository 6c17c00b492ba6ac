"""BLIP-2 and InstructBLIP up to their language model: pixels -> patches -> queries."""

from typing import Protocol, cast

import torch
from torch import nn


class SeesImages(Protocol):
    """The parts of a BLIP-2 or InstructBLIP before its language model."""

    vision_model: nn.Module
    query_tokens: nn.Parameter
    qformer: nn.Module
    language_projection: nn.Module


def patches(model: object, values: torch.Tensor, *, mixed: bool) -> torch.Tensor:
    """(b, 3, h, w) float32 -> the vision model's states (b, 1 + patches, vision width) float32.

    Args:
        mixed: run it under autocast in float16, as precision `reference` does.
    """
    vision = cast(SeesImages, model).vision_model
    with torch.autocast(values.device.type, dtype=torch.float16, enabled=mixed):
        return vision(values).last_hidden_state.float()


def projected_queries(model: object, seen: torch.Tensor, text_ids: torch.Tensor | None) -> torch.Tensor:
    """The projected query positions, which stand for the image in the language model: (b, q, t) float32.

    Args:
        seen: (b, 1 + patches, vision width) float32.
        text_ids: (1, k) what InstructBLIP's Q-Former reads beside the image; None for BLIP-2.
    """
    parts = cast(SeesImages, model)
    queries = parts.query_tokens.expand(len(seen), -1, -1)
    text = {} if text_ids is None else {"input_ids": text_ids.expand(len(seen), -1)}
    output = parts.qformer(query_embeds=queries, encoder_hidden_states=seen, **text)
    return parts.language_projection(output.last_hidden_state[:, : queries.shape[1]])
