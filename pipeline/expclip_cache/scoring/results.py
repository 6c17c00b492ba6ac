"""What a study measures: confusion matrices of every classifier on every test set, and the scores that follow."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from expclip_cache.base import rows_to_csv
from expclip_cache.cache import Json
from expclip_cache.scoring.metrics import Confusion, scores


class Classifier(NamedTuple):
    """One way to classify: a backbone's plain CLIP or head under one prompt type, or an LLM's own answers.

    Attributes:
        prompts: name of the prompt set; empty for own answers.
        prompt_type: 1 to 5, or 0 for prompts from a file and own answers.
        teacher: whose targets the head learned from, or whose own answers they are; empty for plain CLIP.
        head: name of the head, or the rule of own answers; empty for plain CLIP.
        seed: of the head; None for plain CLIP and for a head without seeds.
    """

    prompts: str
    prompt_type: int
    teacher: str = ""
    head: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class HeadScores:
    """What one head gave under one prompt set.

    Attributes:
        teacher, head, seed: see `Classifier`.
        sha256: of the head's file.
        confusions: prompt type -> (c, c) int64.
        changes: `prediction_changes` against plain CLIP under the highest prompt type, for the first seed of a head;
            None for its other seeds.
    """

    teacher: str
    head: str
    seed: int | None
    sha256: str
    confusions: Mapping[int, Confusion]
    changes: Json


@dataclass(frozen=True)
class PromptSetScores:
    """What plain CLIP and the heads gave under one prompt set.

    Attributes:
        made_by: hashes of the code, the features and the prompts.
        clip: prompt type -> (c, c) int64, plain CLIP.
        heads: in the order of the study.
    """

    made_by: Mapping[str, str]
    clip: Mapping[int, Confusion]
    heads: tuple[HeadScores, ...]


@dataclass(frozen=True)
class ScoreRow:
    """One line of results/scores.csv: one classifier on one test set.

    Attributes:
        test_set: name of the dataset.
        backbone: name of the CLIP; empty for an LLM's own answers.
        teacher, head, seed, prompts, prompt_type: see `Classifier`.
        items: scored items.
        skipped: items without features; they are not scored.
        uar, war: in percent.
    """

    test_set: str
    backbone: str
    teacher: str
    head: str
    seed: int | None
    prompts: str
    prompt_type: int
    items: int
    skipped: int
    uar: float
    war: float


@dataclass(frozen=True)
class TestSetScores:
    """Everything that was measured with one backbone on one test set.

    Attributes:
        backbone: name of the CLIP.
        test_set: name of the dataset.
        classes: c class names.
        images: `FeatureCache.describe()` of the scored features.
        prompt_sets: name -> what was measured under it.
    """

    __test__ = False  # pytest would take the class for a test

    backbone: str
    test_set: str
    classes: tuple[str, ...]
    images: Mapping[str, Json]
    prompt_sets: Mapping[str, PromptSetScores]

    def confusions(self) -> Iterator[tuple[Classifier, Confusion]]:
        """Every (c, c) int64 confusion matrix, in the order of the study: prompt set, type, plain CLIP, heads."""
        for name, found in self.prompt_sets.items():
            for kind, matrix in found.clip.items():
                yield Classifier(name, kind), matrix
                for head in found.heads:
                    yield Classifier(name, kind, head.teacher, head.head, head.seed), head.confusions[kind]

    def rows(self) -> list[ScoreRow]:
        """The scores, one per confusion matrix."""
        skipped = len(self.images["skipped"])
        return [score_row(self.test_set, self.backbone, one, matrix, skipped) for one, matrix in self.confusions()]


def score_row(test_set: str, backbone: str, classifier: Classifier, matrix: Confusion, skipped: int) -> ScoreRow:
    """The scores of one (c, c) confusion matrix."""
    found = scores(matrix)
    return ScoreRow(
        test_set=test_set,
        backbone=backbone,
        teacher=classifier.teacher,
        head=classifier.head,
        seed=classifier.seed,
        prompts=classifier.prompts,
        prompt_type=classifier.prompt_type,
        items=found.items,
        skipped=skipped,
        uar=found.uar,
        war=found.war,
    )


class Scored(Protocol):
    """What has rows of scores: `TestSetScores` or `AnswerScores`."""

    def rows(self) -> list[ScoreRow]:
        """One for each confusion matrix."""
        ...


def scores_csv(test_sets: Iterable[Scored]) -> str:
    """Every score as csv, in percent with three decimals.

    `teacher`, `head` and `seed` are empty for plain CLIP, `backbone` and `prompts` for an LLM's own answers.
    """
    return rows_to_csv(ScoreRow, (row for found in test_sets for row in found.rows()))
