"""Ask every frozen LLM for the class of every test image: python stages/answers.py [--name NAME].

And of some training images, whose labels are not used: they tell how likely each answer is without looking.
"""

import argparse
from collections.abc import Iterable, Sequence
from functools import partial

from expclip_cache.base import Reporter, SettingsError, handle_errors, recorded_time
from expclip_cache.datasets import Manifest, dataset_root
from expclip_cache.encoders import AnswerSettings
from expclip_cache.extraction import Job, answer_encoder, run_jobs
from expclip_cache.settings import (
    ANSWERS,
    Settings,
    answer_features,
    calibration_answers,
    calibration_images,
    chosen_names,
    load_settings,
    read_images,
)


def main(report: Reporter, names: Sequence[str] = ()) -> None:
    """Fill features/answers, by default for all entries of `answers:`."""
    settings = load_settings()
    ANSWERS.mkdir(parents=True, exist_ok=True)
    jobs = [job for name in chosen_names(names, settings.answers, "answers") for job in jobs_of(settings, name, report)]
    # Log-likelihoods of tens of nats need more than float16, and are few.
    run_jobs(jobs, settings.cache.model_copy(update={"dtype": "float32"}), settings.run, report)


def jobs_of(settings: Settings, name: str, report: Reporter) -> list[Job]:
    """The test sets, then the calibration images once for each list of classes."""
    llm, trained_on = settings.answers[name], settings.train.dataset
    tests = {test_set: read_images(test_set, settings.datasets[test_set]) for test_set in settings.score.datasets}
    _refuse_unknown_classes(name, llm, tests.values())
    faces = calibration_images(read_images(trained_on, settings.datasets[trained_on]), llm.calibration_images)
    return [
        *(
            Job(
                manifest=manifest,
                root=partial(dataset_root, test_set, settings.datasets[test_set], report),
                encoder=answer_encoder(llm, manifest.classes),
                out=answer_features(name, test_set),
                shared_with=settings.readers_of(test_set, llm) - 1,
            )
            for test_set, manifest in tests.items()
        ),
        *(
            Job(
                manifest=faces,
                root=partial(dataset_root, trained_on, settings.datasets[trained_on], report),
                encoder=answer_encoder(llm, classes),
                out=calibration_answers(name, llm, classes),
            )
            for classes in dict.fromkeys(manifest.classes for manifest in tests.values())
        ),
    ]


def _refuse_unknown_classes(name: str, llm: AnswerSettings, tests: Iterable[Manifest]) -> None:
    """A misspelt class would silently lose its names."""
    known = tuple(dict.fromkeys(each for manifest in tests for each in manifest.classes))
    if unknown := [each for each in llm.names if each not in known]:
        raise SettingsError(
            f"answers.{name}.names: expected classes of the test sets ({', '.join(known)}), found {', '.join(unknown)}."
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", action="append", default=[], help="only this one; repeatable")
    given = parser.parse_args()
    with handle_errors(resumes=True), recorded_time("answers") as report:
        main(report, given.name)
