"""Run every frozen LLM over the training images: python stages/targets.py [--teacher NAME]."""

import argparse
from collections.abc import Sequence
from functools import partial

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.datasets import dataset_root
from expclip_cache.extraction import Job, llm_encoder, run_jobs
from expclip_cache.settings import chosen_names, load_settings, read_images, target_draws


def main(report: Reporter, teachers: Sequence[str] = ()) -> None:
    """Fill features/targets, by default for all teachers; with dropout, one folder per draw."""
    settings = load_settings()
    name = settings.train.dataset
    manifest = read_images(name, settings.datasets[name])
    jobs = [
        Job(
            manifest=manifest,
            root=partial(dataset_root, name, settings.datasets[name], report),
            encoder=llm_encoder(settings.teachers[teacher], draw),
            out=out,
            shared_with=settings.readers_of(name, settings.teachers[teacher]) - 1,
        )
        for teacher in chosen_names(teachers, settings.teachers, "teachers")
        for draw, out in enumerate(target_draws(teacher, settings.teachers[teacher], name))
    ]
    run_jobs(jobs, settings.cache, settings.run, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", action="append", default=[], help="only this one; repeatable")
    given = parser.parse_args()
    with handle_errors(resumes=True), recorded_time("targets") as report:
        main(report, given.teacher)
