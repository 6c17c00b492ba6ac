"""What LAVIS's BLIP-2 computes, by plain formulas on the tensors of its files; independent of the package."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = Mapping[str, Tensor]


def image_vectors(vision: Tensors, q_former: Tensors, values: Tensor, heads: int) -> Tensor:
    """Normalised pixels (b, 3, h, w) -> (b, q, d); `heads` of the Q-Former."""
    states = norm(q_former, "ln_vision", vision_tokens(vision, values), 1e-5)
    tokens = norm(
        q_former, "Qformer.bert.embeddings.LayerNorm", q_former["query_tokens"].expand(len(values), -1, -1), 1e-12
    )
    return linear(q_former, "vision_proj", bert(q_former, tokens, heads, states=states))


def text_vector(q_former: Tensors, ids: list[int], heads: int) -> Tensor:
    """One text's token ids, without any padding -> (d,)."""
    embeddings = "Qformer.bert.embeddings"
    words = q_former[f"{embeddings}.word_embeddings.weight"][ids]
    positions = q_former[f"{embeddings}.position_embeddings.weight"][: len(ids)]
    tokens = norm(q_former, f"{embeddings}.LayerNorm", (words + positions)[None], 1e-12)
    return linear(q_former, "text_proj", bert(q_former, tokens, heads)[0, 0])


def vision_tokens(t: Tensors, values: Tensor) -> Tensor:
    """CLIP's vision transformer up to its last layer: (b, 3, h, w) -> (b, s, w)."""
    patches = F.conv2d(values, t["conv1.weight"], stride=t["conv1.weight"].shape[-1]).flatten(2).transpose(1, 2)
    first = t["class_embedding"].expand(len(values), 1, -1)
    x = norm(t, "ln_pre", torch.cat([first, patches], 1) + t["positional_embedding"], 1e-5)
    heads = x.shape[-1] // 64
    for number in range(sum(name.endswith("in_proj_weight") for name in t)):
        block = f"transformer.resblocks.{number}"
        a = norm(t, f"{block}.ln_1", x, 1e-5)
        q, k, v = (a @ t[f"{block}.attn.in_proj_weight"].T + t[f"{block}.attn.in_proj_bias"]).chunk(3, -1)
        x = x + linear(t, f"{block}.attn.out_proj", attention(q, k, v, heads))
        h = linear(t, f"{block}.mlp.c_fc", norm(t, f"{block}.ln_2", x, 1e-5))
        x = x + linear(t, f"{block}.mlp.c_proj", h * torch.sigmoid(1.702 * h))
    return x


def bert(t: Tensors, x: Tensor, heads: int, states: Tensor | None = None) -> Tensor:
    """The Q-Former's layers: query tokens with the vision model's states, or a text without."""
    for number in range(sum(name.endswith(".attention.self.query.weight") for name in t)):
        layer = f"Qformer.bert.encoder.layer.{number}"
        x = attended(t, f"{layer}.attention", x, x, heads)
        if states is not None and number % 2 == 0:
            x = attended(t, f"{layer}.crossattention", x, states, heads)
        side = "" if states is None else "_query"
        h = F.gelu(linear(t, f"{layer}.intermediate{side}.dense", x))
        x = norm(t, f"{layer}.output{side}.LayerNorm", linear(t, f"{layer}.output{side}.dense", h) + x, 1e-12)
    return x


def attended(t: Tensors, name: str, x: Tensor, read: Tensor, heads: int) -> Tensor:
    """BERT's attention with its output and layer norm."""
    q = linear(t, f"{name}.self.query", x)
    k, v = (linear(t, f"{name}.self.{part}", read) for part in ("key", "value"))
    out = linear(t, f"{name}.output.dense", attention(q, k, v, heads))
    return norm(t, f"{name}.output.LayerNorm", out + x, 1e-12)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Softmax attention of several heads, (b, n, w) and (b, m, w) -> (b, n, w)."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def linear(t: Tensors, name: str, x: Tensor) -> Tensor:
    """x W' + b."""
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def norm(t: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    """Layer norm."""
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + eps)
    return scaled * t[f"{name}.weight"] + t[f"{name}.bias"]
