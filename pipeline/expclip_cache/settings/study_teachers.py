"""What the teachers of a study are compared on, and its results of that."""

from collections.abc import Iterable, Sequence

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import RidgeSettings
from expclip_cache.prompts import prompt_table
from expclip_cache.scoring import TestSetScores, embeddings_by_text, read_score_file, refuse_other_clip
from expclip_cache.settings.paths import TEACHERS, image_features, prompt_features, score_file, target_draws
from expclip_cache.settings.settings import Settings
from expclip_cache.settings.study_probes import refuse_other_features
from expclip_cache.statistics import FoldGroup, fold_groups
from expclip_cache.teachers import (
    TeacherInputs,
    TeacherResults,
    TeacherTargets,
    TestSet,
    read_teachers,
    teachers_made_from,
)

STALE = (
    f"{TEACHERS} has results of other features, prompts, settings or code than are here; run `expclip-cache teachers` "
    "again"
)


def study_teacher_inputs(settings: Settings, backbones: Sequence[str]) -> list[TeacherInputs]:
    """All teachers and test sets, with some backbones of the study.

    Of a teacher with several draws, the first one: a head in closed form needs one target per image.

    Raises:
        CacheError: features are missing or damaged.
        DataError: there are no scores yet, they are damaged, or they are of other features.
        SettingsError: a definition or a prompt file cannot be read.
    """
    targets = _targets(settings)
    groups = _groups(settings)
    return [_inputs(settings, backbone, targets, groups) for backbone in backbones]


def study_teachers(settings: Settings, scores: Sequence[TestSetScores]) -> tuple[TeacherResults | None, str]:
    """The results of `expclip-cache teachers` in the current folder.

    Args:
        settings: of the study.
        scores: every backbone on every test set.

    Returns:
        None if there are none, or if they are of other features, prompts, settings or code, or cannot be compared with
        these because the features are not here; the text then says so.

    Raises:
        DataError: they are damaged.
    """
    found = read_teachers(TEACHERS)
    if found is None:
        return None, ""
    try:
        targets = _targets(settings)
        made_from = {
            backbone: _made_from(settings, backbone, targets, (one for one in scores if one.backbone == backbone))
            for backbone in settings.backbones
        }
    except CacheError:
        return None, STALE
    return (found, "") if found.are_of(made_from) else (None, STALE)


def ridge_settings(settings: Settings, backbone: str) -> RidgeSettings:
    """Those of the backbone's first ridge head that chooses lambda on held-out images; the defaults without one."""
    return next(
        (
            head
            for head in settings.heads.values()
            if isinstance(head, RidgeSettings)
            and head.choose == "held_out"
            and backbone in (head.backbones or settings.backbones)
        ),
        RidgeSettings(),
    )


def _inputs(
    settings: Settings, backbone: str, targets: Sequence[TeacherTargets], groups: Sequence[FoldGroup]
) -> TeacherInputs:
    scores = {name: read_score_file(score_file(backbone, name)) for name in settings.score.datasets}
    prompts, chosen = next(iter(settings.prompts_of(backbone).items()))
    cache = FeatureCache(prompt_features(backbone))
    tests = {}
    for name, of_set in scores.items():
        images = FeatureCache(image_features(backbone, name))
        refuse_other_features(images, of_set)
        refuse_other_clip(images, cache)
        table = prompt_table(chosen.set, chosen.types, images.classes)
        highest = max(prompt.type for prompt in table)
        tests[name] = TestSet(images, tuple(prompt for prompt in table if prompt.type == highest))
    return TeacherInputs(
        backbone=backbone,
        images=FeatureCache(image_features(backbone, settings.train.dataset)),
        targets=targets,
        tests=tests,
        groups=groups,
        embeddings=embeddings_by_text(cache),
        prompts=prompts,
        prompt_settings=chosen,
        ridge=ridge_settings(settings, backbone),
        made_from=_made_from(settings, backbone, targets, scores.values()),
    )


def _made_from(
    settings: Settings, backbone: str, targets: Sequence[TeacherTargets], scores: Iterable[TestSetScores]
) -> str:
    return teachers_made_from(
        FeatureCache(image_features(backbone, settings.train.dataset)),
        targets,
        {one.test_set: one for one in scores},
        next(iter(settings.prompts_of(backbone))),
        ridge_settings(settings, backbone),
        settings.statistics,
    )


def _targets(settings: Settings) -> list[TeacherTargets]:
    return [
        TeacherTargets(
            name=name,
            model=llm.model,
            instruction=llm.instruction,
            states=llm.states,
            cache=FeatureCache(target_draws(name, llm, settings.train.dataset)[0]),
        )
        for name, llm in settings.teachers.items()
    ]


def _groups(settings: Settings) -> list[FoldGroup]:
    """Every test set, the mean over the folds of a set in the place of these, and the mean over all."""
    groups = fold_groups({name: settings.datasets[name] for name in settings.score.datasets})
    together = {name for group in groups if group.part == "fold mean" for name in group.names}
    return [
        group
        for group in groups
        if group.part != "pooled" and not (group.part == "fold" and together.issuperset(group.names))
    ]
