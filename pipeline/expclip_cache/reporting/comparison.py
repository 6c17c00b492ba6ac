"""Our scores beside the published ones: test sets, single folds, their mean as the paper reports it, and their pool."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from expclip_cache.datasets import DatasetSettings
from expclip_cache.encoders import ClipSettings
from expclip_cache.prompts import PromptSettings
from expclip_cache.reporting.published import CLIP_SYSTEMS, published_results, published_system
from expclip_cache.reporting.published_intervals import log_intervals
from expclip_cache.scoring import Classifier, Confusion, TestSetScores
from expclip_cache.statistics import (
    FoldGroup,
    Part,
    Row,
    ScoreIntervals,
    Statistics,
    StatisticsSettings,
    System,
    fold_groups,
    mean,
)


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
    """One system on one test set, or on one part of a set with folds, under one prompt type.

    Attributes:
        test_set: its key in params.yaml; for `fold mean` and `pooled` the definition's name.
        part: see `FoldGroup`.
        backbone, teacher, head, prompts: see `System`; teacher and head are empty only for a backbone without heads.
        prompt_type: 1 to 5, or 0 for prompts from a file.
        published_as: the published system that the backbone is, see `published_system`; None if it is none.
        n: scored items.
        published_n: items behind the published scores; None if unknown.
        clip: ours, plain CLIP, or another backbone without a head.
        clip_intervals: of ours over the test items.
        expclip: ours, the mean over the seeds of the head; None without a head.
        expclip_intervals: of ours over the test items, for these seeds; None without a head.
        seeds: heads that `expclip` is the mean of; 0 without a head.
        expclip_std: sample standard deviation over the seeds, in points; None with fewer than two.
        paper_clip, paper_expclip: the paper's table, which does not state its prompt type; `paper_clip` is of the
            system that the backbone is.
        log: the reference's own test log for this prompt type; None for other prompts than the reference's.
        log_intervals: of the log over its test items; None if the log's confusion matrices are not known.
        later: EmoCapCLIP (2025), UAR only, read off a figure.
        method: what classifies without a head: `CLIP`, the published system that the backbone is, or `plain` for a
            backbone that is neither.
    """

    test_set: str
    part: Part
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    published_as: str | None
    n: int
    published_n: int | None
    clip: Pair
    clip_intervals: ScoreIntervals
    expclip: Pair | None
    expclip_intervals: ScoreIntervals | None
    seeds: int = 0
    expclip_std: Pair | None = None
    paper_clip: Pair | None = None
    paper_expclip: Pair | None = None
    log: Pair | None = None
    log_intervals: ScoreIntervals | None = None
    later: Pair | None = None
    method: str = "CLIP"

    def is_inside(self, ours: Literal["clip", "expclip"], published: Pair | None) -> bool | None:
        """Whether our interval of UAR covers a published score; None if there is no such score."""
        found = self.clip_intervals if ours == "clip" else self.expclip_intervals
        return None if found is None or published is None else found.uar.covers(published.uar)

    @property
    def is_published(self) -> bool:
        """Whether there are published scores for this row."""
        return any((self.paper_clip, self.paper_expclip, self.log, self.later))

    @property
    def system(self) -> System:
        """What classified."""
        return System(self.backbone, self.teacher, self.head, self.prompts)


def compare_with_published(
    backbones: Mapping[str, ClipSettings],
    prompts: Mapping[str, PromptSettings],
    test_sets: Mapping[str, DatasetSettings],
    scores: Sequence[TestSetScores],
    statistics: Statistics,
) -> list[Comparison]:
    """Put the scores of a study beside the published ones.

    Args:
        backbones: name -> settings; published results are found by what `published_system` says.
        prompts: name of a prompt set -> settings; the reference's logs belong to `set: reference`.
        test_sets: key in params.yaml -> settings, in the order of `score.datasets`.
        scores: of every backbone on every test set.
        statistics: of the same study.

    Returns:
        Rows ordered by backbone, test set (the folds of a set, their mean and their pool together), part, prompt set,
        prompt type and head.

    Raises:
        SettingsError: a definition cannot be read, or `published_as` of a backbone is no published system.
    """
    groups = fold_groups(test_sets)
    return [
        row
        for backbone, clip in backbones.items()
        for row in _of_backbone(backbone, clip, prompts, groups, scores, statistics)
    ]


def _of_backbone(
    backbone: str,
    clip: ClipSettings,
    prompts: Mapping[str, PromptSettings],
    groups: Sequence[FoldGroup],
    scores: Sequence[TestSetScores],
    statistics: Statistics,
) -> Iterator[Comparison]:
    confusions = {found.test_set: dict(found.confusions()) for found in scores if found.backbone == backbone}
    for group in groups:
        found = [confusions[name] for name in group.names]
        seeds_of: dict[Classifier, list[Classifier]] = {}
        for classifier in found[0]:
            seeds_of.setdefault(classifier._replace(seed=None), []).append(classifier)
        with_head = {(head.prompts, head.prompt_type) for head in seeds_of if head.head}
        for head, seeds in seeds_of.items():
            if head.head or (head.prompts, head.prompt_type) not in with_head:
                logged = head.prompt_type if prompts[head.prompts].set == "reference" else 0
                yield _comparison(group, backbone, clip, head, seeds, found, logged, statistics)


def _method(settings: ClipSettings) -> str:
    system = published_system(settings)
    if system and system not in CLIP_SYSTEMS:
        return system
    return "CLIP" if settings.kind == "open-clip" else "plain"


def _comparison(
    group: FoldGroup,
    backbone: str,
    settings: ClipSettings,
    head: Classifier,
    seeds: Sequence[Classifier],
    found: Sequence[Mapping[Classifier, Confusion]],
    logged_type: int,
    statistics: Statistics,
) -> Comparison:
    """One row; `found` holds the confusion matrices of each test set of the group."""
    plain, published_as = Classifier(head.prompts, head.prompt_type), published_system(settings)
    row = Row(System(backbone, head.teacher, head.head, head.prompts), head.prompt_type)
    clip = group.scores(matrices[plain] for matrices in found)
    expclip = [group.scores(matrices[seed] for matrices in found) for seed in seeds] if head.head else []
    scored = statistics.scored(group.test_set, group.part, row)
    return Comparison(
        test_set=group.test_set,
        part=group.part,
        backbone=backbone,
        teacher=head.teacher,
        head=head.head,
        prompts=head.prompts,
        prompt_type=head.prompt_type,
        published_as=published_as,
        n=clip.items,
        published_n=group.published_n,
        clip=Pair(clip.uar, clip.war),
        clip_intervals=statistics.scored(group.test_set, group.part, row.plain_clip).intervals,
        expclip=Pair(mean(one.uar for one in expclip), mean(one.war for one in expclip)) if expclip else None,
        expclip_intervals=scored.intervals if expclip else None,
        seeds=len(expclip),
        expclip_std=Pair(scored.uar_std, scored.war_std) if len(expclip) > 1 else None,
        **_published_pairs(published_as, group, logged_type),
        log_intervals=_log_intervals(published_as, group, logged_type, statistics.settings),
        method=_method(settings),
    )


def _published_pairs(system: str | None, group: FoldGroup, logged_type: int) -> dict[str, Pair]:
    """The fields of a `Comparison` that hold published scores; `logged_type` 0 leaves out the logs."""
    if system is None or group.published_as is None:
        return {}
    field_of_source = {"log": "log", "figure": "later"}
    pairs = {}
    for result in published_results(system, group.published_as, logged_type):
        paper = "paper_expclip" if result.method == "Exp-CLIP" else "paper_clip"
        pairs[field_of_source.get(result.source, paper)] = Pair(result.uar, result.war)
    return pairs


def _log_intervals(
    system: str | None, group: FoldGroup, logged_type: int, settings: StatisticsSettings
) -> ScoreIntervals | None:
    if system not in CLIP_SYSTEMS or group.published_as is None:
        return None
    return log_intervals(system.removeprefix("CLIP "), group.published_as, logged_type, settings)
