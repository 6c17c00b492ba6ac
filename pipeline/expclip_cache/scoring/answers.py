"""The scores of an LLM's own answers on one test set: keep what was measured with the same inputs, or measure."""

from pathlib import Path

import numpy as np

from expclip_cache.base import CacheError, DataError, Reporter, source_sha256
from expclip_cache.cache import FeatureCache, Json, json_sha256
from expclip_cache.scoring.answer_rules import RULES, ClassNames, class_scores, greedy_agreement
from expclip_cache.scoring.answer_scores import (
    AnswerScores,
    answer_classifier,
    answers_checksum,
    read_answer_scores,
    write_answer_scores,
)
from expclip_cache.scoring.changed_predictions import prediction_changes
from expclip_cache.scoring.metrics import confusion
from expclip_cache.scoring.percentages import softmax_percent
from expclip_cache.scoring.prediction_file import Prediction, PredictionFile, write_predictions
from expclip_cache.scoring.predictions import refuse_unlabelled

GENERATED = 1
"""The vector of a row that says what was generated; vector 0 has the log-likelihoods."""


def complete_answer_scores(
    path: Path,
    predictions: Path,
    answers: FeatureCache,
    calibration: FeatureCache,
    *,
    name: str,
    test_set: str,
    report: Reporter | None = None,
) -> AnswerScores:
    """Score an LLM's own answers under every rule, and write two files unless they are there already.

    Args:
        path: of the scores, see `read_answer_scores`.
        predictions: the file of what every rule makes of every item, see `PredictionFile`.
        answers: for the items of a labelled test set.
        calibration: for other faces, by the same model with the same question and names.
        name, test_set: names, for the results.

    Returns:
        The content of the file of scores.

    Raises:
        CacheError: a cache is damaged, or the two are not answers of the same model to the same question.
        DataError: the dataset has rows without a label.
    """
    refuse_unlabelled(answers)
    _refuse_other_answers(answers, calibration)
    described, of_calibration = answers.describe(), calibration.describe()
    made_by = {
        "code": source_sha256("expclip_cache.scoring"),
        "answers": json_sha256(described),
        "calibration": json_sha256(of_calibration),
    }
    if (known := _read(path, predictions)) and known.made_by == made_by and known.test_set == test_set:
        return known
    names = class_names(answers)
    rows, c = answers.good_rows, len(answers.classes)
    truth = answers.labels[rows]
    vectors = _vectors(answers)
    scores = class_scores(vectors[:, 0], _vectors(calibration)[:, 0], names)
    answered = {rule: scores[rule].argmax(axis=1) for rule in RULES}
    # The softmax of raw log-likelihoods is the model's own probability of each class, among the classes.
    percent = {rule: softmax_percent(scores[rule], 1.0) for rule in RULES}
    generated = answers.layout.vectors > GENERATED
    found = AnswerScores(
        name=name,
        test_set=test_set,
        classes=answers.classes,
        images=described,
        calibration=of_calibration,
        made_by=made_by,
        rules={rule: confusion(truth, answered[rule], c) for rule in RULES},
        greedy=greedy_agreement(vectors[:, GENERATED], answered["raw"], names) if generated else None,
        changes=prediction_changes(truth, percent["raw"], percent["calibrated"], answers.paths(rows)),
    )
    of_rules = {answer_classifier(name, rule): Prediction(answered[rule], scores[rule]) for rule in RULES}
    write_predictions(predictions, answers, of_rules, scores=answers_checksum(found), logit_scale=1.0)
    write_answer_scores(path, found)
    if report:
        report.say(f"{path}: {len(RULES)} confusion matrices of {len(rows)} items")
    return found


def class_names(answers: FeatureCache) -> ClassNames:
    """What the classes of a cache of answers are called.

    Raises:
        CacheError: it has no answers, or those for other classes.
    """
    settings, encoder = answers.identity.settings, answers.identity.encoder
    if settings.get("encoder") != "answers":
        raise CacheError(f"{answers}: expected an LLM's own answers, found {settings.get('encoder')!r}.")
    classes = tuple(name for name, _ in settings["names"])
    if answers.classes and classes != answers.classes:
        raise CacheError(
            f"{answers}: has answers for the classes {', '.join(classes)}, but its images are labelled with "
            f"{', '.join(answers.classes)}. Run `dvc repro answers`."
        )
    return ClassNames(classes, tuple(len(called) for _, called in settings["names"]), tuple(encoder["tokens"]))


def _refuse_other_answers(answers: FeatureCache, calibration: FeatureCache) -> None:
    ours, theirs = (_told_apart_by(cache) for cache in (answers, calibration))
    if different := [key for key in ours | theirs if ours.get(key) != theirs.get(key)]:
        raise CacheError(
            f"{calibration}: expected answers of the model, and to the question, of {answers}; found another "
            f"{', '.join(different)}. Run `dvc repro answers`."
        )


def _told_apart_by(cache: FeatureCache) -> dict[str, Json]:
    """Settings and encoder, without what depends on the images."""
    settings = {key: value for key, value in cache.identity.settings.items() if key not in ("manifest", "dtype")}
    return {**settings, **cache.identity.encoder}


def _vectors(cache: FeatureCache) -> np.ndarray:
    """(n, v, m) the vectors of the good rows."""
    rows = cache[cache.good_rows]
    return rows.reshape(len(rows), cache.layout.vectors, cache.layout.width)


def _read(path: Path, predictions: Path) -> AnswerScores | None:
    """None if one of the files cannot be used or they do not belong together."""
    try:
        scores = read_answer_scores(path)
        return scores if PredictionFile(predictions).scores == answers_checksum(scores) else None
    except DataError:
        return None
