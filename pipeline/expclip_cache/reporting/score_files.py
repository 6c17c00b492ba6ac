"""The scores of a study as files: csv tables, and the few numbers that DVC compares."""

from collections.abc import Sequence
from dataclasses import fields

from expclip_cache.base import csv_text
from expclip_cache.cache import Json
from expclip_cache.reporting.system_names import OWN_ANSWERS, system_names
from expclip_cache.scoring import CALIBRATED, AnswerScores, Confusion, TestSetScores
from expclip_cache.statistics import Statistics, System, SystemScores, mean_scores, under_highest_type

Metrics = dict[str, dict[str, dict[str, Json]]]


def systems_csv(scores: Sequence[SystemScores]) -> str:
    """Every row with all its numbers, with three decimals.

    No teacher or head for plain CLIP; no backbone and prompts, and so no gain, for LLMs' own answers.
    """
    names = [field.name for field in fields(SystemScores)]
    return csv_text(names, ([getattr(row, name) for name in names] for row in scores))


def headline_metrics(scores: Sequence[SystemScores], statistics: Statistics) -> Metrics:
    """What `dvc exp show` and `dvc metrics diff` compare: few numbers, under the highest prompt type.

    Returns:
        Backbone -> teacher -> head -> prompt set -> `uar`, `gain` over plain CLIP with the ends of its interval over
        test items, `gain_low` and `gain_high`, and, if there are several, `std` over the seeds: of the mean over the
        test sets; and `test_sets`: the UAR of each. In percent and points, rounded to a hundredth. Of LLMs' own
        answers `answers` -> LLM -> rule -> `uar` with the ends of its interval, `uar_low` and `uar_high`, and
        `test_sets`.
    """
    by_system: dict[System, list[SystemScores]] = {}
    for row in under_highest_type(scores):
        if row.head:
            by_system.setdefault(row.system, []).append(row)
    means = {row.system: row for row in under_highest_type(mean_scores(scores, statistics))}
    tree: Metrics = {}
    for system, rows in by_system.items():
        row = means.get(system, rows[0])
        test_sets = {row.test_set: round(row.uar, 2) for row in rows}
        if system.is_own_answers:
            of_llm = tree.setdefault(OWN_ANSWERS, {}).setdefault(row.teacher, {})
            uar = {"uar": round(row.uar, 2), "uar_low": round(row.uar_low, 2), "uar_high": round(row.uar_high, 2)}
            of_llm[row.head] = {**uar, "test_sets": test_sets}
            continue
        of_head = tree.setdefault(row.backbone, {}).setdefault(row.teacher, {}).setdefault(row.head, {})
        of_head[row.prompts] = {
            "uar": round(row.uar, 2),
            "gain": round(row.gain or 0.0, 2),
            "gain_low": round(row.gain_low or 0.0, 2),
            "gain_high": round(row.gain_high or 0.0, 2),
            **({"std": round(row.uar_std, 2)} if row.seeds > 1 else {}),
            "test_sets": test_sets,
        }
    return tree


def headline_csv(scores: Sequence[SystemScores]) -> str:
    """UAR of each test set and system under the highest prompt type, for the bar plot of `dvc plots`."""
    names = system_names(row.system for row in scores)
    rows = ((row.test_set, names[row.system], row.uar) for row in under_highest_type(scores))
    return csv_text(["test_set", "system", "uar"], rows)


def confusion_csvs(test_sets: Sequence[TestSetScores], answers: Sequence[AnswerScores] = ()) -> dict[str, str]:
    """Tables for the confusion plots of `dvc plots`, of the first backbone and prompt set under its highest type.

    Returns:
        `<test set>/clip.csv` for plain CLIP, `<test set>/expclip.csv` for the first head and `<test set>/answers.csv`
        for the calibrated answers of the first LLM -> a csv with a line for each item, `actual,predicted`, in the
        order of the classes.
    """
    tables = {
        f"{found.test_set}/answers.csv": _items_csv(found.rules[CALIBRATED], found.classes)
        for found in answers
        if found.name == answers[0].name
    }
    for found in test_sets:
        if found.backbone != test_sets[0].backbone:
            continue
        scores = next(iter(found.prompt_sets.values()))
        kind = max(scores.clip)
        tables[f"{found.test_set}/clip.csv"] = _items_csv(scores.clip[kind], found.classes)
        if scores.heads:
            tables[f"{found.test_set}/expclip.csv"] = _items_csv(scores.heads[0].confusions[kind], found.classes)
    return tables


def _items_csv(matrix: Confusion, classes: Sequence[str]) -> str:
    return csv_text(
        ["actual", "predicted"],
        (
            (actual, predicted)
            for actual, counts in zip(classes, matrix.tolist(), strict=True)
            for predicted, count in zip(classes, counts, strict=True)
            for _ in range(count)
        ),
    )
