"""What the fits of the heads left in their folder of results."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.cache import Json
from expclip_cache.statistics import System


@dataclass(frozen=True)
class HeadResults:
    """The results of every head.

    Attributes:
        tree: backbone -> teacher -> head -> metric -> value.
        caches: `images` and `targets` -> backbone or teacher -> `FeatureCache.describe()` of the training set.
        losses: backbone, teacher and head -> name of a seed -> loss of each epoch, for contrastive heads.
    """

    tree: Json
    caches: Mapping[str, Mapping[str, Mapping[str, Json]]]
    losses: Mapping[tuple[str, str, str], Mapping[str, Sequence[float]]]

    def metrics(self, system: System) -> Mapping[str, Json]:
        """What the fit of a head found, by name; empty if there is nothing."""
        return self.tree.get(system.backbone, {}).get(system.teacher, {}).get(system.head, {})


def read_head_results(folder: Path) -> HeadResults:
    """Read metrics.json, details.json and loss.csv.

    Raises:
        DataError: a file is missing or damaged.
    """
    return HeadResults(_json(folder / "metrics.json"), _json(folder / "details.json"), _losses(folder / "loss.csv"))


def _losses(path: Path) -> dict[tuple[str, str, str], dict[str, list[float]]]:
    losses: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    try:
        for line in csv.DictReader(_text(path).splitlines()):
            seeds = losses.setdefault((line["backbone"], line["teacher"], line["head"]), {})
            seeds.setdefault(f"seed {line['seed']}", []).append(float(line["loss"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"a csv file with a loss for each head, seed and epoch, found {error!r}") from None
    return losses


def _json(path: Path) -> Json:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise _damaged(path, f"JSON, found a damaged file ({error})") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: the result file cannot be read ({error.strerror}). Run `dvc repro`.") from None


def _damaged(path: Path, words: str) -> DataError:
    return DataError(f"{path}: expected {words}. Run `dvc repro -f heads`.")
