"""A labelled test set, prompts and fitted heads of a tiny study, for tests of what scores them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from expclip_cache.cache import FeatureCache
from expclip_cache.heads import head_seeds
from expclip_cache.prompts import PromptSettings, prompt_table
from expclip_cache.scoring import HeadToScore
from tiny_caches import write_cache
from tiny_study import HEADS, WIDTH, fit, write_images, write_targets

CLASSES = ("sadness", "happiness", "fear")
ROWS, SKIPPED = 60, (7, 31)
NAMES = ("slow", "fast", "ridge")
"""Heads that are fitted, of `tiny_study.HEADS`, for each of two teachers."""

PROMPT_FILE = """\
classes:
  happiness: [smiling, laughing out loud]
  sadness: [crying]
  fear: [afraid, scared, terrified]
"""


def prompt_sets(folder: Path) -> dict[str, PromptSettings]:
    """One set of each kind and aggregation; writes the prompt file."""
    (folder / "mine.yaml").write_text(PROMPT_FILE)
    return {
        "reference": PromptSettings(types=(2, 5)),
        "nearest": PromptSettings(set="clean", types=(4,), aggregation="nearest"),
        "renormed": PromptSettings(set="clean", types=(1, 5), aggregation="renorm_mean"),
        "mine": PromptSettings(set=str(folder / "mine.yaml")),
    }


def texts_of(sets: Iterable[PromptSettings]) -> list[str]:
    """The distinct prompts of some sets, in order."""
    tables = [prompt_table(one.set, one.types, CLASSES) for one in sets]
    return list(dict.fromkeys(prompt.text for table in tables for prompt in table))


def embedding(text: str) -> np.ndarray:
    """(6,) float32: near the mean of the class it names, if it names one; the same wherever it is encoded."""
    random = np.random.default_rng(list(text.encode()))
    return (class_means()[[name in text for name in CLASSES]].sum(axis=0) + random.normal(size=WIDTH)).astype("f4")


def class_means() -> np.ndarray:
    """(3, 6) means of the image features of each class."""
    return 1.5 * np.random.default_rng(8).normal(size=(len(CLASSES), WIDTH))


def sample_features() -> tuple[np.ndarray, np.ndarray]:
    """(60, 6) float32 image features and their (60,) labels."""
    random = np.random.default_rng(9)
    labels = random.integers(0, len(CLASSES), ROWS)
    return (class_means()[labels] + 2 * random.normal(size=(ROWS, WIDTH))).astype("f4"), labels


def write_test_set(folder: Path, **more: object) -> FeatureCache:
    """The test set, in shards of 16 rows."""
    features, labels = sample_features()
    settings = {"bad": SKIPPED, "labels": labels, "classes": CLASSES, "logit_scale": 20.0, **more}
    return write_cache(folder, features, 16, **settings)


def write_prompts(folder: Path, texts: Sequence[str], moved: Sequence[str] = (), **encoder: object) -> FeatureCache:
    """The embeddings of texts; those in `moved` are others than usual."""
    vectors = np.stack([embedding(text) + (text in moved) for text in texts])
    return write_cache(folder, vectors.astype("f4"), len(texts), paths=list(texts), **{"logit_scale": 20.0, **encoder})


def write_heads(folder: Path) -> list[HeadToScore]:
    """Fit the heads of two teachers; returns them in the order of a study."""
    images = write_images(folder / "images")
    heads = []
    for teacher, shift in (("t5", 0.0), ("opt", 1.0)):
        targets = write_targets(folder / teacher, shift=shift)
        fitted = fit(images, targets, folder / "heads" / teacher, {name: HEADS[name] for name in NAMES})
        heads += [HeadToScore(teacher, head.name, head.seed, head.path) for head in fitted]
    assert len(heads) == 2 * sum(len(head_seeds(HEADS[name])) for name in NAMES)
    return heads


def again(heads: Iterable[HeadToScore]) -> list[HeadToScore]:
    """The same heads as another run sees them: nothing of their files is read yet."""
    return [HeadToScore(head.teacher, head.head, head.seed, head.path) for head in heads]
