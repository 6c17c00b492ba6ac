"""Evaluate a pair of demo encoders: zero-shot with and without the head, linear probes, controls.

It uses the package's own encoders, heads and prompt index, on faces that are drawn in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from expclip_cache.demo import EXPRESSIONS
from expclip_cache.encoders import ClipSettings, LlmSettings, load_blip2_t5, load_clip
from expclip_cache.heads import (
    ContrastiveSettings,
    Moments,
    RidgePath,
    RidgeSettings,
    choose_lambda,
    even_batches,
    held_out_losses,
    is_held_out,
    train_heads,
)
from expclip_cache.prompts import prompt_table
from expclip_cache.scoring import PromptIndex, confusion, uar

PROMPT_TYPES = (2, 5)


@dataclass(frozen=True)
class Texts:
    """Prompt features (p, d) and the class of each prompt, by prompt type."""

    features: dict[int, np.ndarray]
    classes: dict[int, np.ndarray]


def clip_features(
    folder: Path, sets: dict[str, torch.Tensor], clips: Sequence[str]
) -> tuple[dict[str, np.ndarray], Texts, float]:
    """Image features of every set (means over frames for `clips`), prompt features, and the logit scale."""
    encoder = load_clip(ClipSettings(model=str(folder)), torch.device("cpu"))
    images = {name: _encode(encoder.encode_images, pixels, name in clips) for name, pixels in sets.items()}
    features, classes = {}, {}
    for kind in PROMPT_TYPES:
        prompts = prompt_table("reference", [kind], EXPRESSIONS)
        features[kind] = encoder.encode_texts([prompt.text for prompt in prompts]).numpy()
        classes[kind] = np.array([EXPRESSIONS.index(prompt.class_name) for prompt in prompts])
    return images, Texts(features, classes), encoder.logit_scale


def blip2_features(folder: Path, pixels: torch.Tensor, instruction: str) -> np.ndarray:
    """(n, t) mean encoder states for an instruction."""
    settings = LlmSettings(model=str(folder), instruction=instruction)
    return _encode(load_blip2_t5(settings, torch.device("cpu")).encode_images, pixels, False)


def _encode(encode: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor, mean_of_frames: bool) -> np.ndarray:
    features = torch.cat([encode(part) for part in pixels.split(250)]).numpy()
    return features.reshape(-1, 16, features.shape[1]).mean(axis=1) if mean_of_frames else features


def truth(count: int) -> np.ndarray:
    """The classes of the first `count` items of any set."""
    return np.arange(count) % len(EXPRESSIONS)


def zero_shot(images: np.ndarray, texts: Texts, head: np.ndarray | None) -> dict[int, float]:
    """UAR in percent per prompt type."""
    scores = {}
    for kind in PROMPT_TYPES:
        index = PromptIndex(texts.features[kind], texts.classes[kind], head)
        counts = confusion(truth(len(images)), index.classify(images), len(EXPRESSIONS))
        scores[kind] = float(uar(counts))
    return scores


def trained_heads(images: np.ndarray, targets: np.ndarray, scale: float, settings: ContrastiveSettings) -> np.ndarray:
    """(s, t, d) heads, trained with these settings."""
    return train_heads(images, targets, scale, settings, torch.device("cpu")).weights


def ridge_head(images: np.ndarray, targets: np.ndarray, scale: float, settings: RidgeSettings) -> np.ndarray:
    """(1, t, d) the head in closed form, with lambda chosen on held-out images, as `fit_ridge` does on caches."""
    rows = np.arange(len(images))
    held_out = is_held_out(rows, settings.held_out)
    moments = Moments(images.shape[1], targets.shape[1])
    moments.add_rows(images[~held_out], targets[~held_out])
    path = RidgePath(moments)
    batches = [(images[part], targets[part]) for part in even_batches(rows[held_out], settings.batch_size)]
    chosen = choose_lambda(held_out_losses(path, settings.lambdas, batches, scale), settings.tolerance)
    return path.head(chosen).astype(np.float32)[None]


def probe(train: np.ndarray, test: dict[str, np.ndarray]) -> dict[str, float]:
    """UAR of a linear probe: a ridge regression to the classes, fitted on one set and applied to others."""
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
    x = np.c_[(train - mean) / spread, np.ones(len(train))]
    weights = np.linalg.solve(x.T @ x + 3.0 * np.eye(x.shape[1]), x.T @ np.eye(len(EXPRESSIONS))[truth(len(train))])
    scores = {}
    for name, features in test.items():
        found = np.c_[(features - mean) / spread, np.ones(len(features))] @ weights
        counts = confusion(truth(len(features)), found.argmax(axis=1), len(EXPRESSIONS))
        scores[name] = float(uar(counts))
    return scores
