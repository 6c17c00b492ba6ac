"""The report of a study: its files, and the tables that the terminal shows."""

import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Group
from rich.text import Text

from expclip_cache.base import DataError, read_stage_times
from expclip_cache.datasets import DatasetSettings, Root, resolve_root
from expclip_cache.reporting import (
    ReportInputs,
    compare_with_published,
    comparison_csv,
    comparison_to_terminal,
    confusion_csvs,
    headline_csv,
    headline_metrics,
    other_models,
    other_systems,
    other_systems_to_terminal,
    own_answers,
    read_page,
    render_page,
    render_times,
    scores_to_terminal,
    systems_csv,
)
from expclip_cache.scoring import read_answer_scores, read_score_file
from expclip_cache.settings.paths import HEAD_RESULTS, REPORT, STATISTICS, answer_score_file, score_file
from expclip_cache.settings.settings import Settings
from expclip_cache.settings.study_probes import study_probes
from expclip_cache.settings.study_teachers import study_teachers
from expclip_cache.statistics import read_calibration, read_statistics

LIBRARIES = ("expclip-cache", "torch", "open_clip_torch", "transformers", "h5py", "numpy", "faiss-cpu", "faiss-gpu")


def report_study(settings: Settings) -> Group:
    """Write report/ (the pages, csv and json files) from the results in the current folder.

    Returns:
        The tables and where the page is, for the terminal.

    Raises:
        DataError: there are no results yet, or they are damaged.
    """
    inputs = report_inputs(settings)
    sets = test_sets(settings)
    compared = compare_with_published(settings.backbones, settings.prompts, sets, inputs.scores, inputs.statistics)
    others = other_systems(compared, sets)
    page = read_page(inputs, compared, others)
    write_files(
        REPORT,
        {
            "metrics.json": json.dumps(headline_metrics(page.scores, inputs.statistics), indent=2) + "\n",
            "systems.csv": systems_csv(page.scores),
            "uar.csv": headline_csv(page.scores),
            "comparison.csv": comparison_csv(compared, others, own_answers(sets, inputs.statistics)),
            **{f"confusion/{name}": text for name, text in confusion_csvs(inputs.scores, inputs.answers).items()},
            "index.html": render_page(page),
            "times.html": render_times(read_stage_times()),
        },
    )
    published = (
        [comparison_to_terminal(compared)] if any(row.is_published and row.method == "CLIP" for row in compared) else []
    )
    return Group(
        *published,
        *([other_systems_to_terminal(others)] if others.systems else []),
        scores_to_terminal(
            page.scores, inputs.statistics, page.recalls, inputs.drawn, other_models(inputs.scores), inputs.answers
        ),
        *(Text(stale) for stale in (inputs.stale_probes, inputs.stale_teachers) if stale),
        Text(f"{REPORT}/index.html has the confusion matrices, example faces and all settings"),
    )


def report_inputs(settings: Settings) -> ReportInputs:
    """What the page is made from: the results of the study in the current folder."""
    names = settings.score.datasets
    scores = [read_score_file(score_file(backbone, name)) for backbone in settings.backbones for name in names]
    probes, stale_probes = study_probes(settings, scores)
    teachers, stale_teachers = study_teachers(settings, scores)
    return ReportInputs(
        scores=scores,
        answers=[read_answer_scores(answer_score_file(llm, name)) for llm in settings.answers for name in names],
        statistics=read_statistics(STATISTICS, settings.statistics),
        calibration=read_calibration(STATISTICS),
        roots={name: _image_root(name, settings.datasets[name]) for name in names},
        heads=HEAD_RESULTS,
        trained_on=settings.train.dataset,
        drawn=[name for name in names if settings.datasets[name].draw],
        settings=shown_settings(settings),
        versions=_versions(),
        probes=probes,
        stale_probes=stale_probes,
        teachers=teachers,
        stale_teachers=stale_teachers,
    )


def test_sets(settings: Settings) -> dict[str, DatasetSettings]:
    """Key in params.yaml -> settings, of the datasets that are scored, in the order of `score.datasets`."""
    return {name: settings.datasets[name] for name in settings.score.datasets}


def write_files(folder: Path, texts: Mapping[str, str | bytes]) -> None:
    """Write the files of the report; the tables of an earlier run's test sets go."""
    shutil.rmtree(folder / "confusion", ignore_errors=True)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))


def _image_root(name: str, dataset: DatasetSettings) -> Root | None:
    """The root of a dataset's images; None on a machine without them, for which the page shows paths instead."""
    try:
        return resolve_root(name, dataset)
    except DataError:
        return None


def shown_settings(settings: Settings) -> dict[str, Mapping[str, object]]:
    """The settings shown on the page: section -> name or setting -> value. How the study ran is not among them."""
    shown = settings.model_dump(mode="json", exclude={"run", "datasets"})
    # Of a dataset only what is set: most settings do not apply to most layouts.
    datasets = {name: entry.model_dump(mode="json", exclude_unset=True) for name, entry in settings.datasets.items()}
    llms = {
        section: {name: entry.model_dump(mode="json", exclude=entry.other_kinds_keys) for name, entry in found.items()}
        for section, found in (("teachers", settings.teachers), ("answers", settings.answers))
    }
    return {**shown, **llms, "datasets": datasets}


def _versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
