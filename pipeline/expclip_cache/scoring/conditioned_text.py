"""Nearest-prompt search where the item changes the text: X-CLIP's prompts that are generated for each clip.

A prompt's vector t becomes t + alpha g(t), where g is a few layers in which the texts attend to what the clip shows. So
a class has another vector for every clip, and no index can hold it. What an item keeps are the vector of the clip and
the vectors of its patches; the layers' weights are stored with the prompts.
"""

from typing import NamedTuple

import numpy as np
from safetensors.numpy import load
from scipy.special import expit

from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.prompt_index import MIN_NORM, PromptIndex

NUMBERS = 1 << 22
"""Numbers of the texts of the items that are compared at once, at most; the layers need some times their memory."""


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
        """
        found = {name: array.astype(np.float32) for name, array in load(weights).items()}
        self.heads = int(found["heads"][0])
        self._visual_eps, self._text_eps = float(found["visual_eps"][0]), float(found["text_eps"][0])
        self._visual_norm = found["layernorm.weight"], found["layernorm.bias"]
        self._alpha = found["alpha"]
        count = sum(name.endswith("norm1.weight") for name in found)
        self._layers = [_layer(found, f"decoder.{number}.") for number in range(count)]

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


class ConditionedTextIndex:
    """Scores items against classes whose prompts the item changes; see `PromptIndex` for the aggregations.

    The similarity of an item with vector v to a prompt t is cos(W v, W t(item)).
    """

    def __init__(
        self,
        conditioning: TextConditioning,
        prompts: np.ndarray,
        classes: np.ndarray,
        head: np.ndarray | None = None,
        aggregation: Aggregation = "mean",
    ):
        """Compare with these prompts.

        Args:
            prompts, classes, head, aggregation: see `PromptIndex`.
        """
        self._conditioning, self._aggregation = conditioning, aggregation
        self._prompts, self._classes = np.asarray(prompts, dtype=np.float32), np.asarray(classes)
        # Of an unconditioned index only what belongs to the head is used: norms, and R with |R'x| = |W x|.
        self._of_head = PromptIndex(prompts, classes, head)
        self._width = self._prompts.shape[1]

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each item: (n, (1 + m) d) raw rows -> (n,) int64."""
        return self.predict(images)[0]

    def predict(self, images: np.ndarray, norms: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class of each item and its similarity to each class, see `similarities`."""
        similarities = self.similarities(images, norms)
        return similarities.argmax(axis=1), similarities

    def similarities(self, images: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
        """Similarity of each item to each class: (n, (1 + m) d) raw rows -> (n, c) float32 in [-1, 1].

        Args:
            norms: `self.norms(images)` if known already.
        """
        norms = self.norms(images) if norms is None else norms
        step = max(1, NUMBERS // (self._prompts.size + images.shape[1]))
        starts = range(0, max(1, len(images)), step)
        return np.concatenate([self._similarities(images[k : k + step], norms[k : k + step]) for k in starts])

    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the items' vectors after the head: (n, (1 + m) d) raw rows -> (n,) float32."""
        return self._of_head.norms(images[:, : self._width])

    def _similarities(self, images: np.ndarray, norms: np.ndarray) -> np.ndarray:
        rows = images.astype(np.float32, copy=False).reshape(len(images), -1, self._width)
        texts = self._unit(self._projected(self._conditioning(self._prompts, rows[:, 1:])))
        items = self._projected(rows[:, 0]) / norms[:, None]
        labels = range(int(self._classes.max()) + 1)
        if self._aggregation == "renorm_mean":
            means = [self._unit(texts[:, self._classes == label].mean(axis=1)) for label in labels]
            return np.stack([(items * mean).sum(axis=1) for mean in means], axis=1)
        of_prompts = (texts @ items[:, :, None])[:, :, 0]
        over = np.max if self._aggregation == "nearest" else np.mean
        return np.stack([over(of_prompts[:, self._classes == label], axis=1) for label in labels], axis=1)

    def _projected(self, vectors: np.ndarray) -> np.ndarray:
        root = self._of_head.root
        return vectors if root is None else vectors @ root

    @staticmethod
    def _unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), MIN_NORM)


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
