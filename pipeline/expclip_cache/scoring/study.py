"""The scores of one backbone on one test set: keep what was measured with the same inputs, measure the rest."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from expclip_cache.base import DataError, Reporter, source_sha256
from expclip_cache.cache import FeatureCache, Json, canonical_json, json_sha256
from expclip_cache.prompts import Aggregation, Prompt, PromptSettings, prompt_table
from expclip_cache.scoring.changed_predictions import prediction_changes
from expclip_cache.scoring.measuring import HeadToScore, is_first_seed, measure
from expclip_cache.scoring.metrics import Confusion, confusion
from expclip_cache.scoring.percentages import softmax_percent
from expclip_cache.scoring.prediction_file import Prediction, PredictionFile, write_predictions
from expclip_cache.scoring.prompt_embeddings import embeddings_by_text, refuse_other_clip
from expclip_cache.scoring.results import Classifier, HeadScores, PromptSetScores, TestSetScores
from expclip_cache.scoring.score_file import read_score_file, score_checksum, write_score_file


def complete_scores(
    path: Path,
    predictions: Path,
    images: FeatureCache,
    prompts: FeatureCache,
    prompt_sets: Mapping[str, PromptSettings],
    heads: Sequence[HeadToScore],
    *,
    backbone: str,
    test_set: str,
    report: Reporter | None = None,
) -> TestSetScores:
    """Score plain CLIP and every head under every prompt type, and write what is new to two files.

    Args:
        path: of the scores, see `read_score_file`.
        predictions: the file of what every classifier makes of every item, see `PredictionFile`. What it has from the
            same features, prompts, head and code is kept.
        images: image features of a labelled test set.
        prompts: cache of prompt embeddings from the same CLIP.
        prompt_sets: name -> prompts, types and aggregation.
        heads: of the same CLIP.
        backbone, test_set: names, for the results.

    Returns:
        The content of the file of scores; its order is that of the arguments.

    Raises:
        CacheError: a cache is damaged, the two come from different CLIPs, a prompt has no embedding, or a head expects
            features of another width.
        DataError: the dataset has rows without a label, or a head cannot be read.
        SettingsError: a prompt set has no prompts for these classes.
    """
    old = _read(path, predictions)
    described, embeddings = images.describe(), embeddings_by_text(prompts)
    refuse_other_clip(images, prompts)
    code = source_sha256("expclip_cache.scoring", "expclip_cache.prompts")
    sets: dict[str, PromptSetScores] = {}
    found: dict[Classifier, Prediction] = {}
    measured = 0
    for name, settings in prompt_sets.items():
        table = prompt_table(settings.set, settings.types, images.classes)
        made_by = {
            "code": code,
            "images": json_sha256(described),
            "prompts": prompts_sha256(table, settings.aggregation, embeddings),
        }
        known = old.scores.get(name)
        same = known is not None and known.made_by == made_by
        kept = {_key(head): head.sha256 for head in known.heads} if known and same else {}
        missing = [head for head in heads if _key(head) not in kept or kept[_key(head)] != head.sha256]
        new = {
            _classifier(name, kind, head): answers
            for kind, head, answers in measure(
                images, embeddings, table, settings, missing if same else [None, *missing]
            )
        }
        measured += len(new)
        types = sorted({prompt.type for prompt in table})
        for classifier in (_classifier(name, kind, head) for kind in types for head in (None, *heads)):
            found[classifier] = new.get(classifier) or old.predictions[classifier]
        sets[name] = _scores_of_set(name, types, made_by, heads, images, found)
    complete = TestSetScores(backbone, test_set, images.classes, described, sets)
    checksum = score_checksum(complete)
    if measured or (old.checksum, list(old.predictions)) != (checksum, list(found)):
        write_predictions(predictions, images, found, scores=checksum)
    write_score_file(path, complete)
    if measured and report:
        report.say(f"{path}: {measured} confusion matrices of {len(images.good_rows)} items")
    return complete


def _scores_of_set(
    name: str,
    types: Sequence[int],
    made_by: Mapping[str, str],
    heads: Sequence[HeadToScore],
    images: FeatureCache,
    found: Mapping[Classifier, Prediction],
) -> PromptSetScores:
    """The confusion matrices of one prompt set, and what the first seed of each head changes under the highest type."""
    rows, c = images.good_rows, len(images.classes)
    truth = images.labels[rows]

    def confusions(head: HeadToScore | None) -> dict[int, Confusion]:
        return {kind: confusion(truth, found[_classifier(name, kind, head)].predicted, c) for kind in types}

    def percentages(head: HeadToScore | None) -> np.ndarray:
        return softmax_percent(found[_classifier(name, types[-1], head)].similarities, images.logit_scale)

    measured = []
    for head in heads:
        changes: Json = None
        if is_first_seed(head, heads):
            changes = prediction_changes(truth, percentages(None), percentages(head), images.paths(rows))
        measured.append(HeadScores(head.teacher, head.head, head.seed, head.sha256, confusions(head), changes))
    return PromptSetScores(made_by, confusions(None), tuple(measured))


def _classifier(prompts: str, kind: int, head: HeadToScore | None) -> Classifier:
    return Classifier(prompts, kind, *_key(head)) if head else Classifier(prompts, kind)


def _key(head: HeadToScore | HeadScores) -> tuple[str, str, int | None]:
    return head.teacher, head.head, head.seed


class _Old(NamedTuple):
    """What the two files have, and the checksum of the scores."""

    scores: Mapping[str, PromptSetScores]
    predictions: Mapping[Classifier, Prediction]
    checksum: str


def _read(path: Path, predictions: Path) -> _Old:
    """Nothing if one of the files cannot be used or they do not belong together: then both are written anew."""
    try:
        scores, file = read_score_file(path), PredictionFile(predictions)
        if file.scores != (checksum := score_checksum(scores)):
            return _Old({}, {}, "")
        found = {one: Prediction(file.predicted(one), file.similarities(one)) for one in file.classifiers}
        return _Old(scores.prompt_sets, found, checksum)
    except DataError:
        return _Old({}, {}, "")


def prompts_sha256(table: Sequence[Prompt], aggregation: Aggregation, embeddings: Mapping[str, np.ndarray]) -> str:
    """Of the prompts, how they are aggregated, and their embeddings; other prompts in the cache do not matter."""
    digest = hashlib.sha256(canonical_json([[asdict(prompt) for prompt in table], aggregation]))
    for prompt in table:
        digest.update(embeddings[prompt.text].tobytes() if prompt.text in embeddings else b"")
    return digest.hexdigest()
