"""What stands on the page, gathered from the result files; no HTML here."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, StageTime
from expclip_cache.heads import Fit
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.page.thumbnails import thumbnail
from expclip_cache.scoring import Row, recall, rows_from_summary


@dataclass(frozen=True)
class Answer:
    """One classifier's answer to one face: its first three classes and their shares in percent."""

    ranked: tuple[tuple[str, float], ...]
    right: bool


@dataclass(frozen=True)
class Face:
    """A face that the head fixed or broke; `picture` is a data URI, or None where the picture is not here."""

    path: str
    truth: str
    picture: str | None
    clip: Answer
    expclip: Answer


@dataclass(frozen=True)
class Skip:
    """An input that could not be encoded."""

    dataset: str
    row: int
    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """The cache that some numbers come from."""

    name: str
    rows: int
    fingerprint: str
    settings: Mapping[str, object]
    encoder: Mapping[str, object]


@dataclass(frozen=True)
class SetSection:
    """One test set, under the prompt type with the highest number.

    Attributes:
        classes: c names.
        prompt_type: shown here.
        fit: how the heads shown were fitted.
        heads: s names of the heads whose matrices are taken together.
        clip, expclip: (c, c) percent of the true class.
        clip_recall: (c,) percent, NaN for a class without items.
        expclip_recall: (s, c) percent.
        head: whose faces are shown.
        counts: faces `right`, `fixed`, `broken` and `wrong` under that head.
    """

    name: str
    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    prompt_type: int
    fit: str
    heads: tuple[str, ...]
    clip: np.ndarray
    expclip: np.ndarray
    clip_recall: np.ndarray
    expclip_recall: np.ndarray
    head: str
    counts: Mapping[str, int]
    fixed: tuple[Face, ...]
    broken: tuple[Face, ...]

    @property
    def row(self) -> Row:
        """The scores that belong to what is shown."""
        return next(row for row in self.rows if (row.prompt_type, row.head) == (self.prompt_type, self.fit))


@dataclass(frozen=True)
class Page:
    """Everything on the page.

    Attributes:
        compared: test sets that others report on too, and the folds of one set, each, as their mean and pooled.
        losses: name of a head -> loss of each epoch; empty where no head was trained by gradient descent.
        training: figures of the training by name.
        settings: section of params.yaml -> setting -> value.
        versions: library -> version.
        times: of the stages that ran on this machine.
    """

    sets: tuple[SetSection, ...]
    compared: tuple[Comparison, ...]
    losses: Mapping[str, Sequence[float]]
    training: Mapping[str, object]
    sources: tuple[Source, ...]
    skips: tuple[Skip, ...]
    settings: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]
    times: tuple[StageTime, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row of the comparison table."""
        return tuple(row for section in self.sets for row in section.rows)


@dataclass(frozen=True)
class ReportInputs:
    """What a page is made from: one run of the pipeline.

    Attributes:
        scores: test set -> folder of its results, in the order of the page.
        roots: test set -> folder of its images, None where they are not on this machine.
        training: folder of the training's results.
        trained_on: name of the training set.
        heads: fit -> names of its heads, see `TrainSettings.heads`.
        settings: section of params.yaml -> setting -> value, shown as they are.
        versions: library -> version.
    """

    scores: Mapping[str, Path]
    roots: Mapping[str, Path | None]
    training: Path
    trained_on: str
    heads: Mapping[Fit, Sequence[str]]
    settings: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]


def read_page(run: ReportInputs, compared: Sequence[Comparison], times: Sequence[StageTime]) -> Page:
    """Gather the page from the result files.

    Args:
        compared: our scores beside published ones.
        times: of the stages that ran on this machine, shown in their order.

    Raises:
        DataError: a result file is missing or damaged.
    """
    sets, sources, skips = [], [], []
    for name, folder in run.scores.items():
        details = _json(folder / "details.json")
        sets.append(_section(name, folder, details, run))
        sources.append(_source(name, details["images"]))
        skips += [Skip(name, **skip) for skip in details["images"]["skipped"]]
    trained = _json(run.training / "details.json")
    for kind, record in trained.items():
        name = f"{run.trained_on} ({kind})"
        sources.append(_source(name, record))
        skips += [Skip(name, **skip) for skip in record["skipped"]]
    return Page(
        sets=tuple(sets),
        compared=tuple(row for row in compared if row.is_published or row.part != "whole"),
        losses=_losses(run.training / "loss.csv"),
        training=_flat(_json(run.training / "metrics.json")),
        sources=tuple(sources),
        skips=tuple(skips),
        settings=run.settings,
        versions=run.versions,
        times=tuple(times),
    )


def _section(name: str, folder: Path, details: dict, run: ReportInputs) -> SetSection:
    counts = _json(folder / "confusion.json")
    kind = str(details["prompt_type"])
    fit, heads = next(iter(run.heads.items()))
    clip = np.array(counts["clip"][kind])
    each = [np.array(counts["expclip"][kind][head]) for head in heads]
    classes = tuple(counts["classes"])
    faces = details["faces"]
    fixed, broken = (
        tuple(_face(item, classes, run.roots.get(name)) for item in faces[which]) for which in ("fixed", "broken")
    )
    return SetSection(
        name=name,
        rows=tuple(rows_from_summary({name: _json(folder / "metrics.json")})),
        classes=classes,
        prompt_type=int(kind),
        fit=fit,
        heads=tuple(heads),
        clip=_percent(clip),
        expclip=_percent(np.sum(each, axis=0)),
        clip_recall=recall(clip),
        expclip_recall=np.stack([recall(matrix) for matrix in each]),
        head=details["head"],
        counts=faces["counts"],
        fixed=fixed,
        broken=broken,
    )


def _face(item: dict, classes: Sequence[str], root: Path | None) -> Face:
    truth = item["truth"]

    def answer(values: Sequence[float]) -> Answer:
        order = sorted(range(len(values)), key=lambda label: -values[label])
        return Answer(tuple((classes[label], values[label]) for label in order[:3]), order[0] == truth)

    return Face(
        item["path"], classes[truth], thumbnail(root, item["path"]), answer(item["clip"]), answer(item["expclip"])
    )


def _source(name: str, record: dict) -> Source:
    return Source(name, record["rows"], record["fingerprint"], record["settings"], record["encoder"])


def _percent(matrix: np.ndarray) -> np.ndarray:
    """Each row as percent of its sum; NaN where the class has no items."""
    items = matrix.sum(axis=1, keepdims=True)
    return 100.0 * np.divide(matrix, items, out=np.full(matrix.shape, np.nan), where=items > 0)


def _losses(path: Path) -> dict[str, list[float]]:
    losses: dict[str, list[float]] = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            losses.setdefault(f"seed {line['seed']}", []).append(float(line["loss"]))
    return losses


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested figures as one level, keys joined by a dot."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: the result cannot be read ({error.strerror}). Run `dvc repro`.") from None
    except ValueError as error:
        raise DataError(f"{path}: is damaged ({error}). Run `dvc repro -f` of the stage that writes it.") from None
