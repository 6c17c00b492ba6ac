"""Run every frozen CLIP over every dataset: python stages/images.py [--backbone NAME] [--dataset NAME].

Backbones that pool kept frames run no encoder: they read the features of the backbone that has kept them.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from expclip_cache.base import ExpclipError, Reporter, handle_errors, recorded_time
from expclip_cache.cache import FeatureCache
from expclip_cache.datasets import dataset_root
from expclip_cache.extraction import Job, clip_encoder, pool_frames, run_jobs
from expclip_cache.settings import chosen_names, encode_study_prompts, image_features, load_settings, read_images


def main(report: Reporter, backbones: Sequence[str] = (), datasets: Sequence[str] = ()) -> None:
    """Fill features/images, by default for all backbones and datasets.

    A process that has run a CLIP encodes the prompts as well, so that the stage `prompts` finds them done: importing
    open_clip takes 10 seconds, which would be most of that stage's time.
    """
    settings = load_settings()
    clips = chosen_names(backbones, settings.backbones, "backbones")
    names = chosen_names(datasets, settings.datasets, "datasets")
    manifests = {name: read_images(name, settings.datasets[name]) for name in names}
    frames = {backbone: kept for backbone in clips if (kept := settings.frames_of(backbone))}
    encoding = dict.fromkeys(frames.get(backbone, backbone) for backbone in clips)
    jobs = [
        Job(
            manifest=manifests[name],
            root=partial(dataset_root, name, settings.datasets[name], report),
            encoder=clip_encoder(settings.backbones[backbone]),
            out=image_features(backbone, name),
            shared_with=settings.readers_of(name, settings.backbones[backbone]) - 1,
        )
        for backbone in encoding
        for name in names
    ]
    run_jobs(jobs, settings.cache, settings.run, report)
    for backbone, kept in frames.items():
        for name in names:
            pool_frames(
                FeatureCache(image_features(kept, name)),
                settings.backbones[backbone].pool,
                image_features(backbone, name),
                settings.cache,
                settings.run.device,
                report,
            )
    if "open_clip" in sys.modules:
        # A bad prompt must not fail this stage: the stage `prompts` meets the same error and reports it.
        with suppress(ExpclipError):
            encode_study_prompts(settings, clips, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--dataset", action="append", default=[], help="only this one; repeatable")
    given = parser.parse_args()
    with handle_errors(resumes=True), recorded_time("images") as report:
        main(report, given.backbone, given.dataset)
