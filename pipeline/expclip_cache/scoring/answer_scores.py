"""What an LLM's own answers give on one test set, and its file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from expclip_cache.cache import Json
from expclip_cache.scoring.answer_rules import RULES, Greedy, Rule
from expclip_cache.scoring.checked_file import checksum_of, read_checked, write_checked
from expclip_cache.scoring.metrics import Confusion
from expclip_cache.scoring.results import Classifier, ScoreRow, score_row
from expclip_cache.scoring.score_file import matrix_from_json


@dataclass(frozen=True)
class AnswerScores:
    """Everything that was measured with one LLM's own answers on one test set.

    Attributes:
        name: its key in `answers:`.
        test_set: name of the dataset.
        classes: c class names.
        images: `FeatureCache.describe()` of the answers for the test items.
        calibration: that of the answers for the calibration faces.
        made_by: hashes of the code and of both caches.
        rules: rule -> (c, c) int64 confusion matrix.
        greedy: how far generated texts agree; None if nothing was generated.
        changes: `prediction_changes` from `raw` to `calibrated`; they take the places of CLIP and Exp-CLIP.
    """

    name: str
    test_set: str
    classes: tuple[str, ...]
    images: Mapping[str, Json]
    calibration: Mapping[str, Json]
    made_by: Mapping[str, str]
    rules: Mapping[Rule, Confusion]
    greedy: Greedy | None
    changes: Json

    @property
    def backbone(self) -> str:
        """Empty: no CLIP takes part."""
        return ""

    def confusions(self) -> Iterator[tuple[Classifier, Confusion]]:
        """Every (c, c) int64 confusion matrix, one for each rule."""
        for rule, matrix in self.rules.items():
            yield answer_classifier(self.name, rule), matrix

    def rows(self) -> list[ScoreRow]:
        """The scores, one for each rule."""
        skipped = len(self.images["skipped"])
        return [score_row(self.test_set, self.backbone, one, matrix, skipped) for one, matrix in self.confusions()]


def answer_classifier(name: str, rule: Rule) -> Classifier:
    """An LLM's own answers under a rule, as results name them."""
    return Classifier(prompts="", prompt_type=0, teacher=name, head=rule)


def write_answer_scores(path: Path, found: AnswerScores) -> None:
    """Write everything atomically, with a checksum."""
    write_checked(path, _to_text(_to_json(found)))


def answers_checksum(found: AnswerScores) -> str:
    """What a file with these scores has as its checksum."""
    return checksum_of(_to_text(_to_json(found)))


def read_answer_scores(path: Path) -> AnswerScores:
    """Read what `write_answer_scores` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    return read_checked(path, _to_text, _from_json)


def _to_json(found: AnswerScores) -> Json:
    return {
        "answers": found.name,
        "test_set": found.test_set,
        "classes": found.classes,
        "images": found.images,
        "calibration": found.calibration,
        "made_by": found.made_by,
        "rules": {rule: matrix.tolist() for rule, matrix in found.rules.items()},
        "greedy": found.greedy and asdict(found.greedy),
        "changes": found.changes,
    }


def _from_json(tree: Json) -> AnswerScores:
    classes = tuple(tree["classes"])
    return AnswerScores(
        name=tree["answers"],
        test_set=tree["test_set"],
        classes=classes,
        images=tree["images"],
        calibration=tree["calibration"],
        made_by=tree["made_by"],
        rules={rule: matrix_from_json(tree["rules"][rule], len(classes)) for rule in RULES},
        greedy=Greedy(**tree["greedy"]) if tree["greedy"] else None,
        changes=tree["changes"],
    )


def _to_text(tree: Json) -> str:
    """JSON with a line for each rule, so that Git shows which changed."""
    text = json.dumps(tree)
    for rule in RULES:
        text = text.replace(f'"{rule}": [[', f'\n"{rule}": [[')
    return text
