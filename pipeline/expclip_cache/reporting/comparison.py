"""Our scores beside the published ones: each fold, their mean as the paper reports it, and all folds pooled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from expclip_cache.datasets import DatasetSettings, Definition, definition_of
from expclip_cache.heads import Fit
from expclip_cache.reporting.published import backbone_of, published_results
from expclip_cache.scoring import Confusion, Scores, fold_mean, pooled

Part = Literal["whole", "fold", "fold mean", "pooled"]


@dataclass(frozen=True)
class Pair:
    """UAR and WAR in percent; `war` is None where a source has none."""

    uar: float
    war: float | None

    def minus(self, other: "Pair") -> "Pair":
        """The differences in points.

        >>> Pair(42.0, 51.25).minus(Pair(40.0, None))
        Pair(uar=2.0, war=None)
        """
        war = None if self.war is None or other.war is None else self.war - other.war
        return Pair(self.uar - other.uar, war)


@dataclass(frozen=True)
class Comparison:
    """One test set, or one part of a five-fold set, under one prompt type and one kind of head.

    Attributes:
        test_set: its key in params.yaml; for `fold mean` and `pooled` the definition's name.
        part: `whole`; or one `fold`, the unweighted `fold mean` of all folds, all folds' items `pooled`.
        prompt_type: 1 to 5, 0 for the prompts of a user's file.
        head: how the heads were fitted, see `TrainSettings.heads`.
        backbone: B/32, B/16 or L/14; None for a CLIP that nothing is published for.
        n: scored items.
        published_n: items the published scores stand on; None where unknown.
        clip: plain CLIP, ours.
        expclip: ours, the mean over the heads of this kind.
        paper_clip, paper_expclip: the paper's table, which does not tell its prompt type.
        log: the reference's own test log for this prompt type.
        later: EmoCapCLIP (2025), UAR alone, read off a figure.
    """

    test_set: str
    part: Part
    prompt_type: int
    head: str
    backbone: str | None
    n: int
    published_n: int | None
    clip: Pair
    expclip: Pair
    paper_clip: Pair | None = None
    paper_expclip: Pair | None = None
    log: Pair | None = None
    later: Pair | None = None

    @property
    def is_published(self) -> bool:
        """Whether there is anything to compare with."""
        return any((self.paper_clip, self.paper_expclip, self.log, self.later))


def compare(
    clip_model: str,
    test_sets: Mapping[str, DatasetSettings],
    heads: Mapping[Fit, Sequence[str]],
    confusions: Mapping[str, Mapping],
) -> list[Comparison]:
    """Put every test set's scores beside what is published for it.

    Args:
        clip_model: `clip.model` of the run.
        test_sets: key in params.yaml -> settings, in the order of `score.datasets`.
        heads: fit -> names of its heads, see `TrainSettings.heads`.
        confusions: key in params.yaml -> content of its confusion.json, see `stages/score.py`.

    Returns:
        Rows by test set in their order (a set's folds, their mean and pool together), part, prompt type and head.

    Raises:
        SettingsError: a definition cannot be read.
    """
    backbone = backbone_of(clip_model)
    rows = []
    for part in _parts(test_sets):
        of_part = [confusions[name] for name in part.names]
        for kind, (fit, names) in product(of_part[0]["clip"], heads.items()):
            clip = part.average([_matrix(found["clip"][kind]) for found in of_part])
            scored = [part.average([_matrix(found["expclip"][kind][head]) for found in of_part]) for head in names]
            rows.append(
                Comparison(
                    test_set=part.test_set,
                    part=part.part,
                    prompt_type=int(kind),
                    head=fit,
                    backbone=backbone,
                    n=clip.items,
                    published_n=part.published_n,
                    clip=Pair(clip.uar, clip.war),
                    expclip=Pair(float(np.mean([s.uar for s in scored])), float(np.mean([s.war for s in scored]))),
                    **_published(backbone, part, int(kind)),
                )
            )
    return rows


@dataclass(frozen=True)
class _Part:
    """What one row stands on: the test sets it takes together, and how; `published_as` where others report it."""

    test_set: str
    part: Part
    names: tuple[str, ...]
    average: Callable[[Sequence[Confusion]], Scores]
    published_n: int | None
    published_as: str | None


def _parts(test_sets: Mapping[str, DatasetSettings]) -> Iterator[_Part]:
    """Every test set; a definition's folds first one by one and then, if all are there, together."""
    definitions = {name: definition_of(settings) for name, settings in test_sets.items()}
    done: set[str] = set()
    for name, definition in definitions.items():
        if not definition.folds:
            counts = _items(definition, (None,))
            yield _Part(name, "whole", (name,), pooled, counts, definition.published_as or definition.name)
        elif definition.name not in done:
            done.add(definition.name)
            yield from _folds(test_sets, definition, [n for n, d in definitions.items() if d.name == definition.name])


def _folds(test_sets: Mapping[str, DatasetSettings], definition: Definition, names: Sequence[str]) -> Iterator[_Part]:
    folds = [test_sets[name].fold for name in names]
    for name, fold in zip(names, folds, strict=True):
        yield _Part(name, "fold", (name,), pooled, _items(definition, (fold,)), None)
    if sorted(folds) == sorted(definition.folds):
        counts, together = _items(definition, definition.folds), tuple(names)
        published_as = definition.published_as or definition.name
        yield _Part(definition.name, "fold mean", together, fold_mean, counts, published_as)
        yield _Part(definition.name, "pooled", together, pooled, counts, None)


def _items(definition: Definition, folds: Sequence[int | None]) -> int | None:
    """The published number of test items of some folds together."""
    counts = [definition.published_counts(fold) for fold in folds]
    return None if None in counts else sum(map(sum, counts))


def _published(backbone: str | None, part: _Part, prompt_type: int) -> dict[str, Pair]:
    """The fields of a `Comparison` that others fill."""
    if backbone is None or part.published_as is None:
        return {}
    fields = {}
    for result in published_results(backbone, part.published_as):
        if result.source == "paper":
            fields["paper_clip" if result.method == "CLIP" else "paper_expclip"] = Pair(result.uar, result.war)
        elif result.source == "figure":
            fields["later"] = Pair(result.uar, result.war)
        elif result.prompt_type == prompt_type:
            fields["log"] = Pair(result.uar, result.war)
    return fields


def _matrix(rows: Sequence[Sequence[int]]) -> Confusion:
    return np.asarray(rows, dtype=np.int64)
