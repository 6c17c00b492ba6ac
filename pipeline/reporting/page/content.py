"""What stands on the page, gathered from the result files; no HTML here."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.params import Params
from pipeline.paths import score_results, training_results
from pipeline.reporting.comparison import Comparison
from pipeline.reporting.page.thumbnails import thumbnail
from pipeline.scoring.metrics import recall
from pipeline.scoring.results import Row, rows_from_summary
from pipeline.stage_times import StageTime


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


def read_page(
    params: Params,
    roots: Mapping[str, Path | None],
    compared: Sequence[Comparison],
    versions: Mapping[str, str],
    times: Sequence[StageTime],
) -> Page:
    """Gather the page from results/.

    Args:
        params: what was run.
        roots: test set -> the folder of its pictures, None where they are not on this machine.
        compared: our scores beside published ones.
        versions: library -> version, shown as they are.
        times: of the stages that ran on this machine, shown in their order.

    Raises:
        DataError: a result file is missing or damaged.
    """
    sets, sources, skips = [], [], []
    for name in params.score.datasets:
        folder = score_results(name)
        details = _json(folder / "details.json")
        sets.append(_section(name, folder, details, params, roots.get(name)))
        sources.append(_source(name, details["images"]))
        skips += [Skip(name, **skip) for skip in details["images"]["skipped"]]
    trained = _json(training_results() / "details.json")
    for kind, record in trained.items():
        name = f"{params.train.dataset} ({kind})"
        sources.append(_source(name, record))
        skips += [Skip(name, **skip) for skip in record["skipped"]]
    whole = params.model_dump(mode="json", exclude={"run", "datasets", "demo"})
    settings = {section: whole[section] for section in ("clip", "llm", "cache", "prompts", "train", "score")}
    settings["datasets"] = {
        name: ", ".join(f"{key}: {value}" for key, value in entry.model_dump(mode="json", exclude_unset=True).items())
        for name, entry in params.datasets.items()
    }
    return Page(
        tuple(sets),
        tuple(row for row in compared if row.is_published or row.part != "whole"),
        _losses(training_results() / "loss.csv"),
        _flat(_json(training_results() / "metrics.json")),
        tuple(sources),
        tuple(skips),
        settings,
        versions,
        tuple(times),
    )


def _section(name: str, folder: Path, details: dict, params: Params, root: Path | None) -> SetSection:
    counts = _json(folder / "confusion.json")
    kind = str(details["prompt_type"])
    fit, heads = next(iter(params.train.heads.items()))
    clip = np.array(counts["clip"][kind])
    each = [np.array(counts["expclip"][kind][head]) for head in heads]
    classes = tuple(counts["classes"])
    faces = details["faces"]
    return SetSection(
        name,
        tuple(rows_from_summary({name: _json(folder / "metrics.json")})),
        classes,
        int(kind),
        fit,
        tuple(heads),
        _percent(clip),
        _percent(np.sum(each, axis=0)),
        recall(clip),
        np.stack([recall(matrix) for matrix in each]),
        details["head"],
        faces["counts"],
        *(tuple(_face(item, classes, root) for item in faces[which]) for which in ("fixed", "broken")),
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
