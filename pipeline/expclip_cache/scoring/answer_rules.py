"""Three rules from the log-likelihoods of a class's names to a score of the class.

With n items, c classes and m names in all, several of them for a class with synonyms:

- `raw`: the log of the sum of the likelihoods of a class's names. The language model's habits are part of it: a word
  that it likes to write scores high for every face.
- `length-normalised`: the mean log-likelihood of a name's tokens, of the class's best name. A name of many tokens does
  not lose by its length.
- `calibrated`: raw, minus its mean over faces that are not test items and whose labels are not used. What the model
  says whatever it sees is taken out.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Rule = Literal["raw", "length-normalised", "calibrated"]
RULES: tuple[Rule, ...] = get_args(Rule)
CALIBRATED: Rule = "calibrated"
"""The rule that stands for an LLM where there is room for one."""


@dataclass(frozen=True)
class ClassNames:
    """What the classes are called.

    Attributes:
        classes: c class names, in the order of the labels.
        counts: (c,) how many of the m names each class has, one after another.
        tokens: (m,) tokens of each name, that of the end of the turn included.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def starts(self) -> list[int]:
        """(c,) where the names of each class begin."""
        return [sum(self.counts[:label]) for label in range(len(self.counts))]


def class_scores(log_likelihoods: np.ndarray, calibration: np.ndarray, names: ClassNames) -> dict[Rule, np.ndarray]:
    """The score of every class under each rule; the answer is the class with the highest.

    Args:
        log_likelihoods: (n, m) of the names, each the sum over its tokens.
        calibration: (k, m) those for k faces that are not test items.
        names: of the classes.

    Returns:
        Rule -> (n, c) float32, in nats.
    """
    raw = _raw(log_likelihoods, names)
    per_token = log_likelihoods.astype(np.float64) / np.array(names.tokens)
    return {
        "raw": raw.astype(np.float32),
        "length-normalised": np.maximum.reduceat(per_token, names.starts, axis=1).astype(np.float32),
        "calibrated": (raw - _raw(calibration, names).mean(axis=0)).astype(np.float32),
    }


@dataclass(frozen=True)
class Greedy:
    """What the LLM writes when it is free to write anything, beside the rule `raw`; in percent of the items.

    Attributes:
        agreement: items whose text names the class that `raw` gives.
        no_name: items whose text names no class.
    """

    agreement: float
    no_name: float


def greedy_agreement(written: np.ndarray, answered: np.ndarray, names: ClassNames) -> Greedy:
    """Compare greedily generated texts with the answers by log-likelihood.

    Args:
        written: (n, m) 1 for the name that the text gives, else 0; of a clip the mean over its frames. The class that
            most frames name is the clip's.
        answered: (n,) classes under the rule `raw`.
        names: of the classes.
    """
    of_class = np.add.reduceat(written.astype(np.float64), names.starts, axis=1)
    named = of_class.max(axis=1) > 0
    agrees = named & (of_class.argmax(axis=1) == answered)
    return Greedy(100 * float(agrees.mean()), 100 * float((~named).mean()))


def _raw(log_likelihoods: np.ndarray, names: ClassNames) -> np.ndarray:
    """(n, c) float64."""
    return np.logaddexp.reduceat(log_likelihoods.astype(np.float64), names.starts, axis=1)
