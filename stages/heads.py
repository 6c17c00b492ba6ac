"""Fit the projection heads of every backbone and teacher on cached features: python stages/heads.py."""

from functools import cache

from expclip_cache.base import Reporter, handle_errors, recorded_time, remove_other_files
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import complete_heads, write_head_results
from expclip_cache.settings import (
    HEAD_RESULTS,
    HEADS,
    MOMENTS,
    head_folder,
    image_features,
    load_settings,
    open_targets,
)


def main(report: Reporter) -> None:
    """Write heads/ and results/heads."""
    settings = load_settings()
    dataset = settings.train.dataset

    @cache
    def images(backbone: str) -> FeatureCache:
        return FeatureCache(image_features(backbone, dataset))

    @cache
    def targets(teacher: str) -> tuple[FeatureCache, ...]:
        return open_targets(settings, teacher)

    fitted = {}
    for backbone, teacher, heads in settings.pairs():
        fitted[backbone, teacher] = complete_heads(
            images(backbone),
            targets(teacher),
            heads,
            head_folder(backbone, teacher),
            moments=MOMENTS,
            run=settings.run,
            report=report,
        )
    every = [head for heads in fitted.values() for head in heads]
    remove_other_files(HEADS, {head.path for head in every})
    remove_other_files(MOMENTS, {file for head in every if head.moments for file in head.moments.rglob("*")})
    described = {
        "images": {backbone: images(backbone).describe() for backbone, _ in fitted},
        "targets": {teacher: targets(teacher)[0].describe() for _, teacher in fitted},
    }
    write_head_results(HEAD_RESULTS, fitted, described)


if __name__ == "__main__":
    with handle_errors(resumes=True), recorded_time("heads") as report:
        main(report)
