"""Result files -> the content of the page."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, StageTime
from expclip_cache.cache import Json
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.page.content import (
    Answer,
    CacheSource,
    FaceExample,
    Page,
    ReportInputs,
    SetSection,
    SkippedInput,
)
from expclip_cache.reporting.page.thumbnails import thumbnail
from expclip_cache.scoring import recall, rows_from_summary


def read_page(inputs: ReportInputs, compared: Sequence[Comparison], times: Sequence[StageTime]) -> Page:
    """Read the result files of a run.

    Args:
        inputs: where the files are.
        compared: our scores beside the published ones.
        times: of the stages that ran on this machine, in the order of the page.

    Raises:
        DataError: a result file is missing or damaged.
    """
    details = {name: _read_json(folder / "details.json") for name, folder in inputs.scores.items()}
    caches = {name: found["images"] for name, found in details.items()}
    for kind, record in _read_json(inputs.training / "details.json").items():
        caches[f"{inputs.trained_on} ({kind})"] = record
    return Page(
        sets=tuple(_section(name, found, inputs) for name, found in details.items()),
        compared=tuple(row for row in compared if row.is_published or row.part != "whole"),
        trained_on=inputs.trained_on,
        losses=_losses(inputs.training / "loss.csv"),
        training=_flat(_read_json(inputs.training / "metrics.json")),
        sources=tuple(_source(name, record) for name, record in caches.items()),
        skipped=tuple(SkippedInput(name, **item) for name, record in caches.items() for item in record["skipped"]),
        settings=inputs.settings,
        versions=inputs.versions,
        times=tuple(times),
    )


def _section(name: str, details: Json, inputs: ReportInputs) -> SetSection:
    folder = inputs.scores[name]
    counts = _read_json(folder / "confusion.json")
    kind = str(details["prompt_type"])
    fit, heads = next(iter(inputs.heads.items()))
    clip = np.array(counts["clip"][kind])
    expclip = [np.array(counts["expclip"][kind][head]) for head in heads]
    classes = tuple(counts["classes"])
    faces, root = details["faces"], inputs.roots.get(name)
    return SetSection(
        name=name,
        rows=tuple(rows_from_summary({name: _read_json(folder / "metrics.json")})),
        classes=classes,
        prompt_type=int(kind),
        fit=fit,
        heads=tuple(heads),
        clip=_row_percent(clip),
        expclip=_row_percent(np.sum(expclip, axis=0)),
        clip_recall=recall(clip),
        expclip_recall=np.stack([recall(matrix) for matrix in expclip]),
        head=details["head"],
        counts=faces["counts"],
        fixed=tuple(_example(item, classes, root) for item in faces["fixed"]),
        broken=tuple(_example(item, classes, root) for item in faces["broken"]),
    )


def _example(item: Json, classes: Sequence[str], root: Path | None) -> FaceExample:
    truth: int = item["truth"]

    def answer(percentages: Sequence[float]) -> Answer:
        order = sorted(range(len(percentages)), key=lambda label: -percentages[label])
        return Answer(tuple((classes[label], percentages[label]) for label in order[:3]), order[0] == truth)

    path: str = item["path"]
    return FaceExample(path, classes[truth], thumbnail(root, path), answer(item["clip"]), answer(item["expclip"]))


def _source(name: str, record: Json) -> CacheSource:
    return CacheSource(name, record["rows"], record["fingerprint"], record["settings"], record["encoder"])


def _row_percent(matrix: np.ndarray) -> np.ndarray:
    """Each row in percent of its sum; NaN for a class without items."""
    items = matrix.sum(axis=1, keepdims=True)
    return 100.0 * np.divide(matrix, items, out=np.full(matrix.shape, np.nan), where=items > 0)


def _losses(path: Path) -> dict[str, list[float]]:
    """Name of a head -> loss of each epoch."""
    losses: dict[str, list[float]] = {}
    for line in csv.DictReader(_read_text(path).splitlines()):
        losses.setdefault(f"seed {line['seed']}", []).append(float(line["loss"]))
    return losses


def _flat(tree: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """Nested metrics as one level, keys joined by dots."""
    flat: dict[str, Json] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _read_json(path: Path) -> Json:
    try:
        return json.loads(_read_text(path))
    except ValueError as error:
        raise DataError(
            f"{path}: expected JSON, found a damaged file ({error}). Run `dvc repro -f` for the stage that writes it."
        ) from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: the result file cannot be read ({error.strerror}). Run `dvc repro`.") from None
