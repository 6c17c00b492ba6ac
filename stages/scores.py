"""Score every test set with plain CLIP, every head and LLMs' own answers, from caches: python stages/scores.py."""

from collections.abc import Mapping
from pathlib import Path

from expclip_cache.base import CacheError, Reporter, handle_errors, recorded_time, remove_other_files
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import head_path, head_seeds
from expclip_cache.scoring import HeadToScore, Scored, complete_answer_scores, complete_scores, scores_csv
from expclip_cache.settings import (
    PREDICTIONS,
    SCORES,
    SCORES_TABLE,
    Settings,
    answer_features,
    answer_prediction_file,
    answer_score_file,
    calibration_answers,
    head_folder,
    image_features,
    load_settings,
    prediction_file,
    prompt_features,
    score_file,
)


def main(report: Reporter) -> None:
    """Write results/scores, results/predictions and results/scores.csv."""
    settings = load_settings()
    found: dict[Path, Scored] = {}
    predictions: list[Path] = []
    for backbone in settings.backbones:
        prompts = FeatureCache(prompt_features(backbone))
        heads = heads_of(settings, backbone)
        for test_set in settings.score.datasets:
            predictions.append(prediction_file(backbone, test_set))
            found[score_file(backbone, test_set)] = complete_scores(
                score_file(backbone, test_set),
                predictions[-1],
                FeatureCache(image_features(backbone, test_set)),
                prompts,
                settings.prompts_of(backbone),
                heads,
                backbone=backbone,
                test_set=test_set,
                report=report,
            )
    for name, llm in settings.answers.items():
        for test_set in settings.score.datasets:
            answers = FeatureCache(answer_features(name, test_set))
            _refuse_other_question(answers, llm.answer_settings(answers.classes))
            predictions.append(answer_prediction_file(name, test_set))
            found[answer_score_file(name, test_set)] = complete_answer_scores(
                answer_score_file(name, test_set),
                predictions[-1],
                answers,
                FeatureCache(calibration_answers(name, llm, answers.classes)),
                name=name,
                test_set=test_set,
                report=report,
            )
    remove_other_files(SCORES, found)
    remove_other_files(PREDICTIONS, predictions)
    SCORES_TABLE.write_text(scores_csv(found.values()))


def _refuse_other_question(answers: FeatureCache, wanted: Mapping[str, object]) -> None:
    """Answers to another question must not be shown as those to this one."""
    if changed := [key for key, value in wanted.items() if answers.identity.settings.get(key) != value]:
        raise CacheError(
            f"{answers}: was made with another {', '.join(changed)} than params.yaml has. Run `dvc repro answers`."
        )


def heads_of(settings: Settings, backbone: str) -> list[HeadToScore]:
    """Every head of one backbone, in the order of the study."""
    return [
        HeadToScore(teacher, name, seed, head_path(head_folder(backbone, teacher), name, seed))
        for of_backbone, teacher, heads in settings.pairs()
        if of_backbone == backbone
        for name, head in heads.items()
        for seed in head_seeds(head)
    ]


if __name__ == "__main__":
    with handle_errors(resumes=True), recorded_time("scores") as report:
        main(report)
