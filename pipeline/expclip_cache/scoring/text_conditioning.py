"""What a clip makes of X-CLIP's texts: a few layers in NumPy, in which the texts attend to what the clip shows.

A prompt's vector t becomes t + alpha g(t), where g is these layers. Their weights are stored with the prompts.
"""

from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load
from scipy.special import expit

from expclip_cache.base import CacheError


class Layer(NamedTuple):
    """Weights of one layer, named as transformers names them; matrices are (out, in), float32."""

    norm1: tuple[np.ndarray, np.ndarray]
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    proj: tuple[np.ndarray, np.ndarray]
    norm3: tuple[np.ndarray, np.ndarray]
    mlp1: tuple[np.ndarray, np.ndarray]
    mlp2: tuple[np.ndarray, np.ndarray]


class TextConditioning:
    """The layers that change the texts, in NumPy.

    Attributes:
        heads: of the attention.
    """

    def __init__(self, weights: bytes):
        """Read the weights.

        Args:
            weights: a safetensors file with the tensors of transformers' `XCLIPPromptGenerator`, by their names, and
                `heads`, `visual_eps` and `text_eps`.

        Raises:
            CacheError: it is something else.
        """
        try:
            found = {name: array.astype(np.float32) for name, array in load(weights).items()}
            self.heads = int(found["heads"][0])
            self._visual_eps, self._text_eps = float(found["visual_eps"][0]), float(found["text_eps"][0])
            self._visual_norm = found["layernorm.weight"], found["layernorm.bias"]
            self._alpha = found["alpha"]
            count = sum(name.endswith("norm1.weight") for name in found)
            self._layers = [_layer(found, f"decoder.{number}.") for number in range(count)]
        except (SafetensorError, LookupError) as error:
            raise CacheError(
                f"the weights beside the prompts are not those of an X-CLIP's text layers ({error}). Encode the "
                "prompts again."
            ) from None

    def __call__(self, texts: np.ndarray, visual: np.ndarray) -> np.ndarray:
        """The texts as they are for some items.

        Args:
            texts: (p, d) float32, raw.
            visual: (b, m, d) float32, the items' patches.

        Returns:
            (b, p, d) float32, raw.
        """
        visual = _normalised(visual, *self._visual_norm, self._visual_eps)
        # Before the first attention the texts are the same for every item.
        states = np.broadcast_to(texts, (1, *texts.shape))
        for layer in self._layers:
            queries = _linear(_normalised(states, *layer.norm1, self._text_eps), layer.q)
            attended = self._attend(queries, _linear(visual, layer.k), _linear(visual, layer.v))
            states = states + _linear(attended, *layer.proj)
            inner = _quick_gelu(_linear(_normalised(states, *layer.norm3, self._text_eps), *layer.mlp1))
            states = states + _linear(inner, *layer.mlp2)
        return texts + self._alpha * states

    def _attend(self, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(b or 1, p, d), (b, m, d), (b, m, d) -> (b, p, d)."""
        q, k, v = (self._split(states) for states in (queries, keys, values))
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(np.float32(q.shape[-1]))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        together = (weights @ v).transpose(0, 2, 1, 3)
        return together.reshape(*together.shape[:2], -1)

    def _split(self, states: np.ndarray) -> np.ndarray:
        """(b, m, d) -> (b, heads, m, d / heads)."""
        b, m, d = states.shape
        return states.reshape(b, m, self.heads, d // self.heads).transpose(0, 2, 1, 3)


def _layer(found: dict[str, np.ndarray], prefix: str) -> Layer:
    def pair(name: str) -> tuple[np.ndarray, np.ndarray]:
        return found[f"{prefix}{name}.weight"], found[f"{prefix}{name}.bias"]

    q, k, v = (found[f"{prefix}cross_attn.{name}_proj.weight"] for name in "qkv")
    return Layer(pair("norm1"), q, k, v, pair("cross_attn.proj"), pair("norm3"), pair("mlp.0"), pair("mlp.3"))


def _linear(states: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    # One product of matrices; NumPy would make a small one for each item.
    found = (states.reshape(-1, states.shape[-1]) @ weight.T).reshape(*states.shape[:-1], -1)
    return found if bias is None else found + bias


def _normalised(states: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    centred = states - states.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(eps)) * weight + bias


def _quick_gelu(states: np.ndarray) -> np.ndarray:
    return states * expit(np.float32(1.702) * states)
