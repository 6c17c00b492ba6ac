"""An ablation from beginning to end: what is cached, what is compared, the predictions, and the files."""

from functools import partial
from pathlib import Path

from rich.console import Group
from rich.text import Text

from expclip_cache.ablation.answers import AllAnswers
from expclip_cache.ablation.available import find_available
from expclip_cache.ablation.axes import Axis, find_axes, find_centre, without_head
from expclip_cache.ablation.axis_rows import axis_rows
from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.cell_rows import cell_rows
from expclip_cache.ablation.cells import Choice
from expclip_cache.ablation.design import every_combination, one_at_a_time
from expclip_cache.ablation.estimate import estimated_seconds
from expclip_cache.ablation.kept_predictions import KeptPredictions
from expclip_cache.ablation.options import AblationOptions
from expclip_cache.ablation.page import ablation_page
from expclip_cache.ablation.predicting import Progress, do_work, plan_work
from expclip_cache.ablation.tables import axes_csv, cells_csv
from expclip_cache.ablation.words import value_of
from expclip_cache.base import Reporter, SettingsError, make_folder, write_atomically
from expclip_cache.reporting import ablation_to_terminal, render_ablation
from expclip_cache.settings import Settings
from expclip_cache.statistics import fold_groups

KEPT = "kept"
"""The folder of the finished cells, in that of the ablation."""


def ablate(settings: Settings, options: AblationOptions, out: Path, report: Reporter) -> Group:
    """Compare the choices of a study from what it has cached in the current folder; nothing is encoded.

    Args:
        settings: of the study.
        options: what is varied.
        out: folder for ablation.csv, axes.csv, index.html, and the finished cells, which another run uses.

    Returns:
        The table of the axes and where the page is, for the terminal.

    Raises:
        CacheError, DataError: features, prompts or heads that are asked for are missing, damaged or outdated.
        SettingsError: the options name what the study does not have, or nothing is varied.
    """
    study = CachedStudy(settings)
    available = find_available(study, options)
    centre = find_centre(study, available, options)
    left_out = [*available.left_out, *without_head(available, options, centre)]
    for line in left_out:
        report.say(line)
    axes = find_axes(study, available, options, centre)
    _refuse_single_values(axes)
    choices = one_at_a_time(axes, centre)
    if options.full:
        choices = every_combination(study, axes, centre, available, options)
    kept = KeptPredictions(out / KEPT)
    progress = plan_work(study, choices, options, kept)
    report.say(_summary(study, axes, choices, progress))
    cannot_fit = do_work(study, progress, kept, report)
    for line in cannot_fit:
        report.say(line)
    left_out += cannot_fit
    answers = AllAnswers(study, {cell: progress.done[cell] for cell in _in_order(progress, choices)})
    if centre not in answers.repeats:
        raise SettingsError("\n".join([*cannot_fit, "the head at the centre cannot be fitted. Choose another centre."]))
    statistics = settings.statistics
    cells = cell_rows(study, answers, statistics, report)
    groups = fold_groups({name: settings.datasets[name] for name in study.test_sets})
    mean = next((group for group in groups if group.part == "mean"), None)
    in_words = partial(value_of, study)
    values = axis_rows(answers, axes, centre, in_words, mean, statistics, report)
    page = ablation_page(study, answers, axes, centre, values, mean, left_out, statistics)
    make_folder(out)
    write_atomically(out / "ablation.csv", cells_csv(cells).encode("utf-8"))
    write_atomically(out / "axes.csv", axes_csv(values).encode("utf-8"))
    write_atomically(out / "index.html", render_ablation(page))
    where = f"{out}/index.html has a chart for each axis, {out}/ablation.csv every cell, {out}/axes.csv the axes."
    return Group(ablation_to_terminal(page), Text(where))


def _refuse_single_values(axes: list[Axis]) -> None:
    if all(len(axis.choices) < 2 for axis in axes):
        raise SettingsError(
            f"nothing is varied: there is one value alone of {', '.join(axis.name for axis in axes)}. Add another to "
            "params.yaml and run `dvc repro`, or vary another axis."
        )


def _summary(study: CachedStudy, axes: list[Axis], choices: list[Choice], progress: Progress) -> str:
    """What will be done, and about how long it takes."""
    varied = ", ".join(f"{axis.name} ({len(axis.choices)})" for axis in axes if len(axis.choices) > 1)
    on_page = len({choice for axis in axes for choice in axis.choices})
    seconds = estimated_seconds(study, progress, on_page, study.settings.statistics)
    return (
        f"{len(choices)} choices over {varied}: {progress.missing + len(progress.done):,} cells, of which "
        f"{len(progress.done):,} are kept from an earlier run; {progress.fits} heads to fit. About "
        + (f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min")
    )


def _in_order(progress: Progress, choices: list[Choice]) -> list:
    """The finished cells in the order of the choices."""
    place = {choice: number for number, choice in enumerate(choices)}
    return sorted(progress.done, key=lambda cell: place[cell.choice])
