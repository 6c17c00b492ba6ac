"""Zero-shot scores of one dataset: plain CLIP and every head, under every prompt type, from cached features alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from expclip_cache.base import CacheError, DataError
from expclip_cache.cache import FeatureCache
from expclip_cache.prompts import Prompt
from expclip_cache.scoring.face_changes import shares
from expclip_cache.scoring.metrics import confusion, scores
from expclip_cache.scoring.prompt_index import Aggregation, PromptIndex
from expclip_cache.scoring.results import Row


@dataclass(frozen=True)
class Predictions:
    """What was predicted for one dataset.

    Attributes:
        classes: c names that numbers refer to.
        rows: (n,) manifest ids of the scored rows; skipped rows are not among them.
        truth: (n,) int64.
        clip: prompt type -> (n,) int64 predictions of plain CLIP.
        expclip: prompt type -> name of a head -> (n,) int64 predictions under that head.
    """

    classes: tuple[str, ...]
    rows: np.ndarray
    truth: np.ndarray
    clip: dict[int, np.ndarray]
    expclip: dict[int, dict[str, np.ndarray]]

    def confusion(self, predicted: np.ndarray) -> np.ndarray:
        """(c, c) int64 counts of one set of predictions, rows = truth."""
        return confusion(self.truth, predicted, len(self.classes))


def predict_dataset(
    images: FeatureCache,
    embeddings: Mapping[str, np.ndarray],
    prompts: Sequence[Prompt],
    heads: Mapping[str, np.ndarray],
    aggregation: Aggregation,
) -> Predictions:
    """Find the nearest prompts of every labelled row.

    Args:
        images: (n, d) cache of a labelled dataset.
        embeddings: text -> (d,) raw text feature.
        prompts: of this dataset's classes, see `expclip_cache.prompts.templates.prompt_table`.
        heads: name -> W (t, d).

    Raises:
        DataError: the dataset has no labels.
        CacheError: a prompt has no embedding, or heads and features are not equally wide.
    """
    rows = images.good_rows
    truth = images.labels[rows].astype(np.int64)
    if not images.classes or (truth < 0).any():
        raise DataError(f"{images.store}: has rows without a label, so there is nothing to score against.")
    missing = [prompt.text for prompt in prompts if prompt.text not in embeddings]
    if missing:
        raise CacheError(
            f"the cache has no embedding of the prompt {missing[0]!r} ({len(missing)} are missing). "
            "Encode the prompts again."
        )
    for name, head in heads.items():
        if head.shape[1] != images.width:
            raise CacheError(
                f"the head {name} takes features of width {head.shape[1]}, {images.store} has {images.width}. "
                "Train the head on features of the same CLIP."
            )
    features = images[rows].astype(np.float32)
    types = sorted({prompt.type for prompt in prompts})
    clip, expclip = {}, {}
    for kind in types:
        texts, owner = _described([prompt for prompt in prompts if prompt.type == kind], images.classes, embeddings)
        clip[kind] = PromptIndex(texts, owner, None, aggregation).classify(features)
        expclip[kind] = {
            name: PromptIndex(texts, owner, head, aggregation).classify(features) for name, head in heads.items()
        }
    return Predictions(images.classes, rows, truth, clip, expclip)


def class_shares(
    images: FeatureCache,
    embeddings: Mapping[str, np.ndarray],
    prompts: Sequence[Prompt],
    head: np.ndarray | None,
    aggregation: Aggregation,
) -> np.ndarray:
    """How strongly each good row answers to each class.

    Args:
        prompts: of one type.
        head: W (t, d), or None for plain CLIP.

    Returns:
        (n, c) float64 percent, see `expclip_cache.scoring.face_changes.shares`.
    """
    texts, owner = _described(prompts, images.classes, embeddings)
    features = images[images.good_rows].astype(np.float32)
    similarities = PromptIndex(texts, owner, head, aggregation).similarities(features)
    return shares(similarities, images.identity.encoder["logit_scale"])


def _described(
    prompts: Sequence[Prompt], classes: Sequence[str], embeddings: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(p, d) raw text features and (p,) the class each describes."""
    texts = np.stack([embeddings[prompt.text] for prompt in prompts])
    return texts, np.array([classes.index(prompt.class_name) for prompt in prompts])


def rows_of(dataset: str, predictions: Predictions, skipped: int, fits: Mapping[str, Sequence[str]]) -> list[Row]:
    """The scores of one test set, one row per prompt type and fit.

    Args:
        fits: how heads were fitted -> their names, see `TrainSettings.heads`.
    """
    rows = []
    for kind, fit in product(predictions.clip, fits):
        clip = scores(predictions.confusion(predictions.clip[kind]))
        heads = [scores(predictions.confusion(predictions.expclip[kind][name])) for name in fits[fit]]
        uar, war = (np.array([getattr(head, name) for head in heads]) for name in ("uar", "war"))
        spread = 1 if len(heads) > 1 else 0
        rows.append(
            Row(
                dataset,
                kind,
                fit,
                len(predictions.rows),
                skipped,
                len(heads),
                clip.uar,
                clip.war,
                float(uar.mean()),
                float(uar.std(ddof=spread)),
                float(war.mean()),
                float(war.std(ddof=spread)),
            )
        )
    return rows


def embeddings_by_text(prompts: FeatureCache) -> dict[str, np.ndarray]:
    """Text -> (d,) float32 embedding, raw, from the cache of the prompts."""
    rows = np.arange(len(prompts))
    features = prompts[rows].astype(np.float32)
    return {path: feature for path, feature in zip(prompts.paths(rows), features, strict=True)}
