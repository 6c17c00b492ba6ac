"""What the BLIP-2's mean encoder state is to hold under each instruction: the content of the answer, and little else.

Symbols: n faces, k factors of a topic, t width of T5.

An answer's embedding is the answer's content and a constant, the same for all wordings of an instruction:

    y = s (z P + r c),    c = a - (1 ... 1) P / sqrt(k),    s = LENGTH / sqrt(1 + 2 r^2)

z (n, k) are the standardised factors, partly decorrelated and scaled so that their variances add up to 1. The rows of
P (k, t) and a (t,) are orthonormal and close to what a model's states already hold: a regression finds them once, early
in the training. In the end the constant is long (r = CONSTANT), so that all targets of an instruction are similar (mean
cosine 0.98), as those of large models are. The contrastive loss has a logit scale of 100: with shorter constants it
reads traces of other content that are a twentieth as strong. The constant points away from the factors, because this
gives faces that show little a place of their own. A model that learns a long constant first never learns the content,
so r rises from 0 during the training.
"""

from dataclasses import dataclass
from math import sin, sqrt

import torch
from demo_instructions import Topic

from expclip_cache.demo import (
    ACTION_UNITS,
    AGES,
    BEARDS,
    HAIR_COLOURS,
    HAIR_STYLES,
    SCENES,
    SHIRTS,
    FaceSpec,
)

CONSTANT = 6.0
"""Final length of each of the constant's two parts; the content's standard deviation is 1."""

LENGTH = 8.0
"""Of a typical target, about that of the mean of the encoder's states."""

DECORRELATION = 0.2
"""Exponent: 0 leaves the correlations of the factors, 0.5 removes them. 0.2 was best for the ridge head."""

UNASKED: dict[Topic, tuple[Topic, ...]] = {
    "action": ("appearance", "background"),
    "appearance": ("action", "background"),
    "background": ("action", "appearance"),
    "caption": ("action",),
}
"""Topic with targets -> the topics whose factors its targets leave out. The question for the expression has no target:
its answer is one word."""


@dataclass(frozen=True)
class Embedding:
    """The embedding of one topic's answers.

    Attributes:
        projection: (k, t) from standardised factors to the content.
        constant: (t,) c.
    """

    projection: torch.Tensor
    constant: torch.Tensor

    def beyond(self, means: torch.Tensor, factors: torch.Tensor, constant: float) -> torch.Tensor:
        """What mean encoder states hold beyond their targets, in units of the content's standard deviation.

        Args:
            means: (b, t) mean encoder states.
            factors: (b, k) standardised.
            constant: r.
        """
        scale = LENGTH / sqrt(1 + 2 * constant**2)
        return means / scale - factors @ self.projection - constant * self.constant


class Leak:
    """Loss on what was not asked for: the squared covariance of unasked factors with what is beyond the targets.

    In a single batch the covariance would be mostly noise, so it is averaged over the last batches.
    """

    def __init__(self) -> None:
        self._covariance: torch.Tensor | None = None

    def __call__(self, beyond: torch.Tensor, unasked: torch.Tensor) -> torch.Tensor:
        """Of (b, t) and (b, m): a number whose gradient is that of the loss."""
        covariance = unasked.T @ beyond / len(beyond)
        earlier = covariance.detach() if self._covariance is None else self._covariance
        self._covariance = 0.97 * earlier + 0.03 * covariance.detach()
        return 2 * (self._covariance * covariance).sum()


def fit_embedding(factors: torch.Tensor, means: torch.Tensor) -> Embedding:
    """The embedding that is closest to what mean encoder states hold.

    Args:
        factors: (n, k) standardised.
        means: (n, t) mean encoder states of the same faces.
    """
    values, vectors = torch.linalg.eigh(torch.cov(factors.T))
    partly = vectors * (values.clamp(min=0) + 0.02) ** -DECORRELATION @ vectors.T
    partly /= (factors @ partly).var(dim=0).sum().sqrt()
    centre = means.mean(dim=0)
    held = torch.linalg.lstsq(factors @ partly, means - centre, driver="gelsd").solution
    left, _, right = torch.linalg.svd(held, full_matrices=False)
    directions = left @ right
    rest = centre - centre @ directions.T @ directions
    return Embedding(partly @ directions, rest / rest.norm() - directions.sum(dim=0) / sqrt(len(directions)))


def standard_factors(faces: list[FaceSpec], like: list[FaceSpec]) -> dict[Topic, torch.Tensor]:
    """(n, k) float32 of each topic, categories one-hot, with mean 0 and variance 1 over the faces `like`."""
    found: dict[Topic, torch.Tensor] = {}
    for topic in UNASKED:
        usual = torch.tensor([_factors(face, topic) for face in like])
        found[topic] = (torch.tensor([_factors(face, topic) for face in faces]) - usual.mean(0)) / (usual.std(0) + 1e-3)
    return found


def unasked(factors: dict[Topic, torch.Tensor], topic: Topic) -> torch.Tensor:
    """(n, m) the factors that a topic leaves out."""
    return torch.cat([factors[other] for other in UNASKED[topic]], dim=1)


def _factors(face: FaceSpec, topic: Topic) -> list[float]:
    person = face.person
    if topic == "action":
        return [face.units[unit] for unit in ACTION_UNITS]
    if topic == "background":
        return [person.light, sin(person.light_angle), *(float(person.scene == scene) for scene in SCENES)]
    if topic == "caption":
        return _factors(face, "appearance") + _factors(face, "background")
    choices = [
        (person.age, AGES), (person.hair, HAIR_COLOURS), (person.hair_style, HAIR_STYLES), (person.beard, BEARDS),
        (person.shirt, SHIRTS),
    ]  # fmt: skip
    numbers = [float(person.woman), float(person.glasses), sum(person.skin) / 765]
    return numbers + [float(x == y) for x, all_ in choices for y in all_]
