"""Do different wordings of the classes get the same answer for a face? That needs prompts and images, but no labels.

A head serves zero-shot recognition only if what the words say is in the targets. If it is not, the projected prompts
of a class point wherever their wording sends them, and two wordings of the same classes disagree about a face.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.cache import FeatureCache
from expclip_cache.prompts import Prompt
from expclip_cache.scoring import PromptEmbeddings, class_index, stack_prompts


@dataclass(frozen=True)
class WordingScores:
    """Scores of one head on n unlabelled images, with the class names of the test sets.

    Attributes:
        agreement: Fleiss' kappa, in percent, of the answers under different wordings, each of which has one prompt a
            class: 100 if all wordings agree about every image, 0 if no more than their shares of the classes make
            likely. None with a single wording.
        balance: entropy of the classes' shares of the answers, in percent of that of equal shares.
    """

    agreement: float | None
    balance: float


def wordings_of(table: Sequence[Prompt], classes: Sequence[str]) -> list[tuple[Prompt, ...]]:
    """The prompts as wordings: the k-th prompt of every class, for as many as every class has."""
    by_class = [[prompt for prompt in table if prompt.class_name == name] for name in classes]
    return list(zip(*by_class, strict=False))


def wording_scores(
    images: FeatureCache,
    rows: np.ndarray,
    embeddings: PromptEmbeddings,
    tables: Sequence[tuple[tuple[str, ...], Sequence[Prompt]]],
    head: np.ndarray,
) -> WordingScores:
    """Score a head; with several test sets, the mean over them.

    Args:
        images: image features of the training set.
        rows: (n,) int64 ids of the held-out images.
        embeddings: of the prompts.
        tables: of each test set the classes, and their prompts of one type.
        head: W (t, d).
    """
    features = images[rows].astype(np.float32)

    def answers(table: Sequence[Prompt], classes: Sequence[str]) -> np.ndarray:
        stacked = stack_prompts(table, classes, embeddings)
        return class_index(images.layout, *stacked, head, conditioning=embeddings.conditioning).classify(features)

    found = {classes: _of_classes(classes, table, answers) for classes, table in dict(tables).items()}
    agreements = [found[classes].agreement for classes, _ in tables]
    known = [value for value in agreements if value is not None]
    return WordingScores(
        agreement=float(np.mean(known)) if len(known) == len(agreements) else None,
        balance=float(np.mean([found[classes].balance for classes, _ in tables])),
    )


def _of_classes(
    classes: tuple[str, ...],
    table: Sequence[Prompt],
    answers: Callable[[Sequence[Prompt], Sequence[str]], np.ndarray],
) -> WordingScores:
    wordings = wordings_of(table, classes)
    agreement = None
    if len(wordings) > 1:
        agreement = 100 * fleiss_kappa(np.stack([answers(one, classes) for one in wordings]), len(classes))
    shares = np.bincount(answers(table, classes), minlength=len(classes))
    return WordingScores(agreement, 100 * _entropy(shares) / np.log(len(classes)))


def fleiss_kappa(answers: np.ndarray, c: int) -> float:
    """Fleiss' kappa (1971); 0 if every answer is the same class.

    Args:
        answers: (r, n) classes that r raters, two or more, give to n items.
        c: number of classes.

    >>> fleiss_kappa(np.array([[0, 1, 2], [0, 1, 2]]), 3), fleiss_kappa(np.array([[0, 0], [0, 0]]), 2)
    (1.0, 0.0)
    """
    raters, _ = answers.shape
    counts = np.stack([(answers == label).sum(axis=0) for label in range(c)])
    agreeing = np.mean((np.square(counts).sum(axis=0) - raters) / (raters * (raters - 1)))
    expected = np.square(counts.sum(axis=1) / answers.size).sum()
    return float((agreeing - expected) / (1 - expected)) if expected < 1 else 0.0


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
