"""A tiny project in the current folder, with all that an ablation reads: features, prompts and fitted heads."""

import json
from pathlib import Path

import numpy as np

from expclip_cache.base import build
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import complete_heads
from expclip_cache.prompts import prompt_table
from expclip_cache.settings import Settings, head_folder, image_features, prompt_features, target_draws
from expclip_cache.workers import RunSettings
from tiny_caches import write_cache
from tiny_scores import CLASSES, class_means, embedding
from tiny_study import write_images, write_targets

CACHED_TYPES = (2, 3, 4, 5)
"""Prompt types of which all prompts are cached; those of type 1 are not."""

TREE = {
    "run": {"device": "cpu"},
    "backbones": {"small": {}, "large": {"model": "ViT-B-32"}},
    "teachers": {
        "t5": {"instruction": "Describe the face."},
        "t5-short": {"instruction": "Which expression?"},
        "opt": {"model": "opt", "instruction": "Describe the face."},
    },
    "prompts": {
        "reference": {"types": [2, 5]},
        "twin": {"aggregation": "nearest"},
        "mine": {"set": "prompts/mine.yaml"},
    },
    "train": {"dataset": "train"},
    "heads": {
        "sgd": {
            "kind": "contrastive",
            "lr": 0.3,
            "epochs": 2,
            "batch_size": 30,
            "seeds": [1, 2],
            "backbones": ["small"],
        },
        "ridge": {"kind": "ridge", "held_out": 0.2, "batch_size": 20},
    },
    "score": {"datasets": ["first", "second"]},
    "statistics": {"resamples": 400},
    "datasets": {
        "train": {"source": "train", "layout": "image-folders", "labelled": False},
        "first": {"source": "first", "layout": "image-folders"},
        "second": {"source": "second", "layout": "image-folders"},
    },
}
"""Two backbones, two instructions and another teacher, two heads; `sgd` is fitted for one backbone alone."""

PROMPT_FILE = """\
classes:
  happiness: [smiling, laughing out loud]
  sadness: [crying]
  fear: [afraid, scared, terrified]
"""


def study(tree: dict = TREE) -> Settings:
    """The settings of the project."""
    return build(Settings, **tree)


def write_params(tree: dict) -> None:
    """The same as params.yaml; JSON is YAML."""
    Path("params.yaml").write_text(json.dumps(tree, indent=1))


def write_project(settings: Settings) -> None:
    """Write all features, and fit the heads."""
    Path("prompts").mkdir()
    Path("prompts/mine.yaml").write_text(PROMPT_FILE)
    texts = [p.text for p in prompt_table("reference", CACHED_TYPES, CLASSES)]
    texts += [p.text for p in prompt_table("prompts/mine.yaml", (), CLASSES)]
    for number, backbone in enumerate(settings.backbones):
        clip = {"weights_sha256": backbone}
        train = write_images(image_features(backbone, "train"), **clip)
        write_texts(prompt_features(backbone), list(dict.fromkeys(texts)), number, **clip)
        for place, (name, skipped) in enumerate({"first": (7, 31), "second": ()}.items()):
            write_test_set(image_features(backbone, name), place + 3 * number, place, skipped, **clip)
        for teacher, encoder in settings.teachers.items():
            (folder,) = target_draws(teacher, encoder, "train")
            if not folder.exists():
                write_targets(folder, shift=len(teacher) / 10, instruction=encoder.instruction)
        for of_backbone, teacher, heads in settings.pairs():
            if of_backbone == backbone:
                (folder,) = target_draws(teacher, settings.teachers[teacher], "train")
                complete_heads(
                    train, [FeatureCache(folder)], heads, head_folder(backbone, teacher), run=RunSettings(device="cpu")
                )


def write_texts(folder: Path, texts: list[str], noise: int, **encoder: object) -> None:
    """The embeddings of texts; those of another CLIP have other noise."""
    vectors = np.stack([embedding(text) + 0.3 * noise for text in texts]).astype("f4")
    write_cache(folder, vectors, len(texts), paths=texts, logit_scale=20.0, **encoder)


def write_test_set(folder: Path, noise: int, labels: int, skipped: tuple[int, ...], **encoder: object) -> None:
    """60 items of three classes; `labels` chooses them, `noise` what a CLIP makes of them."""
    truth = np.random.default_rng(40 + labels).integers(0, len(CLASSES), 60)
    found = class_means()[truth] + 2 * np.random.default_rng(60 + noise).normal(size=(60, 6))
    write_cache(folder, found.astype("f4"), 16, skipped, labels=truth, classes=CLASSES, logit_scale=20.0, **encoder)


class StoppingReporter:
    """Stops the run, as Ctrl-C would, when a bar has advanced so often.

    Attributes:
        lines: messages.
    """

    def __init__(self, after: int):
        self.lines: list[str] = []
        self._left = after

    def say(self, line: str) -> None:
        """Keep one line."""
        self.lines.append(line)

    def bar(self, title: str, total: int, unit: str) -> "StoppingReporter":
        """The reporter itself."""
        return self

    def __enter__(self) -> "StoppingReporter":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, steps: int) -> None:
        """Count down."""
        self._left -= steps
        if self._left < 0:
            raise KeyboardInterrupt
