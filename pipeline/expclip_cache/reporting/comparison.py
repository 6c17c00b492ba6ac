"""Our scores beside the published ones: test sets, single folds, their mean as the paper reports it, and their pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.cache import Json
from expclip_cache.datasets import DatasetSettings
from expclip_cache.heads import Fit
from expclip_cache.reporting.fold_groups import FoldGroup, Part, fold_groups
from expclip_cache.reporting.published import backbone_of, published_results
from expclip_cache.scoring import Confusion


@dataclass(frozen=True)
class Pair:
    """UAR and WAR in percent; `war` is None if the source reports none."""

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
    """One test set, or one part of a set with folds, under one prompt type and with one kind of head.

    Attributes:
        test_set: its key in params.yaml; for `fold mean` and `pooled` the definition's name.
        part: see `FoldGroup`.
        prompt_type: 1 to 5, or 0 for prompts from a file.
        head: how the heads were fitted, see `TrainSettings.heads`.
        backbone: B/32, B/16 or L/14; None for a CLIP without published results.
        n: scored items.
        published_n: items behind the published scores; None if unknown.
        clip: ours, plain CLIP.
        expclip: ours, the mean over the heads of this kind.
        paper_clip, paper_expclip: the paper's table, which does not state its prompt type.
        log: the reference's own test log for this prompt type.
        later: EmoCapCLIP (2025), UAR only, read off a figure.
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
        """Whether there are published scores for this row."""
        return any((self.paper_clip, self.paper_expclip, self.log, self.later))


def compare_with_published(
    clip_model: str,
    test_sets: Mapping[str, DatasetSettings],
    heads: Mapping[Fit, Sequence[str]],
    confusions: Mapping[str, Json],
) -> list[Comparison]:
    """Put every test set's scores beside the published ones.

    Args:
        clip_model: `clip.model` of the run.
        test_sets: key in params.yaml -> settings, in the order of `score.datasets`.
        heads: how heads were fitted -> their names, see `TrainSettings.heads`.
        confusions: key in params.yaml -> content of its confusion.json, see `scoring.write_score_files`.

    Returns:
        Rows ordered by test set (the folds of a set, their mean and their pool together), part, prompt type and kind
        of head.

    Raises:
        SettingsError: a definition cannot be read.
    """
    backbone = backbone_of(clip_model)
    return [
        _comparison(group, kind, fit, names, backbone, [confusions[name] for name in group.names])
        for group in fold_groups(test_sets)
        for kind in confusions[group.names[0]]["clip"]
        for fit, names in heads.items()
    ]


def _comparison(
    group: FoldGroup, kind: str, fit: Fit, names: Sequence[str], backbone: str | None, found: Sequence[Json]
) -> Comparison:
    """One row; `found` holds the content of confusion.json for each test set of the group."""
    clip = group.average([_matrix(counts["clip"][kind]) for counts in found])
    expclip = [group.average([_matrix(counts["expclip"][kind][head]) for counts in found]) for head in names]
    return Comparison(
        test_set=group.test_set,
        part=group.part,
        prompt_type=int(kind),
        head=fit,
        backbone=backbone,
        n=clip.items,
        published_n=group.published_n,
        clip=Pair(clip.uar, clip.war),
        expclip=Pair(
            float(np.mean([scores.uar for scores in expclip])), float(np.mean([scores.war for scores in expclip]))
        ),
        **_published_pairs(backbone, group, int(kind)),
    )


def _published_pairs(backbone: str | None, group: FoldGroup, prompt_type: int) -> dict[str, Pair]:
    """The fields of a `Comparison` that hold published scores."""
    if backbone is None or group.published_as is None:
        return {}
    field_of_source = {"log": "log", "figure": "later"}
    pairs = {}
    for result in published_results(backbone, group.published_as, prompt_type):
        paper = "paper_clip" if result.method == "CLIP" else "paper_expclip"
        pairs[field_of_source.get(result.source, paper)] = Pair(result.uar, result.war)
    return pairs


def _matrix(rows: Sequence[Sequence[int]]) -> Confusion:
    return np.asarray(rows, dtype=np.int64)
